#include "core/dsp/statistics.h"

#include <algorithm>
#include <cstddef>

#include "core/base/math.h"

namespace edgeloop::dsp {
namespace {

constexpr std::size_t kLanes = 4;   // independent sums: short dependency chains, small errors
constexpr std::size_t kBlock = 64;  // samples summed before they join the total

// Sum of f(x) for all x, in a fixed order of operations.
template <typename F>
float BlockSum(std::span<const float> x, F f) {
  float total = 0;
  std::size_t i = 0;
  for (; i + kBlock <= x.size(); i += kBlock) {
    float lane[kLanes] = {};
    for (std::size_t j = 0; j < kBlock; j += kLanes) {
      for (std::size_t l = 0; l < kLanes; ++l) lane[l] += f(x[i + j + l]);
    }
    total += (lane[0] + lane[1]) + (lane[2] + lane[3]);
  }
  for (; i < x.size(); ++i) total += f(x[i]);
  return total;
}

}  // namespace

float LogAmplitude(float amplitude) { return core::Log(std::max(amplitude, kAmplitudeFloor)); }
float LogPower(float power) { return core::Log(std::max(power, kPowerFloor)); }

float Sum(std::span<const float> x) {
  return BlockSum(x, [](float v) { return v; });
}

float RemoveMean(std::span<float> x) {
  const float n = static_cast<float>(x.size());
  const float mean = Sum(x) / n;
  for (float& v : x) v -= mean;
  const float rest = Sum(x) / n;
  for (float& v : x) v -= rest;
  return mean + rest;
}

Statistics ComputeStatistics(std::span<const float> x) {
  const float n = static_cast<float>(x.size());
  Statistics s;
  for (const float v : x) s.peak = std::max(s.peak, v < 0 ? -v : v);
  s.rms = core::Sqrt(BlockSum(x, [](float v) { return v * v; }) / n);
  if (s.rms < kAmplitudeFloor) return s;
  const float inverse = 1.0F / s.rms;
  s.crest = s.peak * inverse;
  s.skewness = BlockSum(x,
                        [inverse](float v) {
                          const float z = v * inverse;
                          return z * z * z;
                        }) /
               n;
  s.kurtosis = BlockSum(x,
                        [inverse](float v) {
                          const float z = v * inverse;
                          return (z * z) * (z * z);
                        }) /
               n;
  return s;
}

float ZeroCrossingRate(std::span<const float> x, float rate_hz) {
  std::size_t changes = 0;
  for (std::size_t i = 1; i < x.size(); ++i) changes += (x[i - 1] < 0) != (x[i] < 0);
  return static_cast<float>(changes) * rate_hz / static_cast<float>(x.size() - 1);
}

}  // namespace edgeloop::dsp
