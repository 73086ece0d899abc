#include "core/dsp/trig_table.h"

#include <array>

namespace edgeloop::dsp {
namespace {

constexpr std::size_t kQuarter = kTurnSteps / 4;

// A quarter wave, made by the compiler (8 KiB of flash): no start-up code and no libm.
constexpr auto kSine = [] {
  std::array<float, kQuarter + 1> table{};
  constexpr double kHalfPi = 1.57079632679489661923;
  for (std::size_t i = 0; i <= kQuarter; ++i) {
    const double x = kHalfPi * static_cast<double>(i) / static_cast<double>(kQuarter);
    double term = x;
    double sum = x;
    for (int n = 2; n <= 22; n += 2) {  // x^23 / 23! < 2e-18 at pi / 2
      term *= -x * x / (n * (n + 1));
      sum += term;
    }
    table[i] = static_cast<float>(sum);
  }
  return table;
}();

}  // namespace

float SinTurn(std::size_t step) {
  step %= kTurnSteps;
  const std::size_t in_quarter = step % kQuarter;
  switch (step / kQuarter) {
    case 0:
      return kSine[in_quarter];
    case 1:
      return kSine[kQuarter - in_quarter];
    case 2:
      return -kSine[in_quarter];
    default:
      return -kSine[kQuarter - in_quarter];
  }
}

float CosTurn(std::size_t step) { return SinTurn(step + kQuarter); }

}  // namespace edgeloop::dsp
