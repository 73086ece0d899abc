#include "core/base/math.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace edgeloop::core {
namespace {

// ln 2 in two parts: the high one has 9 significant bits, so exponent * high is exact.
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;
constexpr float kLog2E = 1.44269504F;

}  // namespace

float Log(float x) {
  // x = 2^e m, m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172:
  // the series 2 (s + s^3/3 + s^5/5 + ...) after s^9 errs by less than 1e-9 of s.
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  int exponent = static_cast<int>(bits >> 23) - 127;
  float m = std::bit_cast<float>((bits & 0x007FFFFFU) | 0x3F800000U);
  if (m > 1.41421356F) {
    m *= 0.5F;
    ++exponent;
  }
  const float f = m - 1.0F;
  const float s = f / (2.0F + f);
  const float s2 = s * s;
  const float tail = s2 * (1.0F / 3 + s2 * (1.0F / 5 + s2 * (1.0F / 7 + s2 * (1.0F / 9))));
  // ln m = f - s (f - 2 tail): adding small corrections to the exact f keeps the last bits.
  const float e = static_cast<float>(exponent);
  return e * kLn2High + (f - (s * (f - 2.0F * tail) - e * kLn2Low));
}

float Exp(float x) {
  if (x > 88.0F) x = 88.0F;
  if (!(x >= -87.0F)) x = -87.0F;  // NaN too: its conversion to int would be undefined
  const float scaled = x * kLog2E;
  const int k = static_cast<int>(scaled + (scaled < 0 ? -0.5F : 0.5F));
  const float n = static_cast<float>(k);
  const float r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2 + rounding
  // Taylor series after r^7: error below r^8 / 8! = 6e-9.
  const float p =
      r * r *
      (1.0F / 2 +
       r * (1.0F / 6 + r * (1.0F / 24 + r * (1.0F / 120 + r * (1.0F / 720 + r * (1.0F / 5040))))));
  return (1.0F + (r + p)) * std::bit_cast<float>(static_cast<std::uint32_t>(k + 127) << 23);
}

float Sigmoid(float x) {
  if (x >= 0) return 1.0F / (1.0F + Exp(-x));
  const float e = Exp(x);
  return e / (1.0F + e);
}

float Sqrt(float x) { return x > 0 ? std::sqrt(x) : 0.0F; }

}  // namespace edgeloop::core
