// Time-domain statistics of one channel. `u` is the physical unit of the samples.
#pragma once

#include <span>

namespace edgeloop::dsp {

// Below these a signal counts as absent: logarithms are taken of the floor, and quotients (crest
// factor, kurtosis, ratios, centroid) are 0. Far below the noise of any converter in any unit.
inline constexpr float kAmplitudeFloor = 1e-9F;  // u
inline constexpr float kPowerFloor = 1e-18F;     // u^2, = kAmplitudeFloor^2

// ln(max(value, floor)).
float LogAmplitude(float amplitude);
float LogPower(float power);

// Sum in blocks, so that the error does not grow with the length: about 40 roundings at 8192.
float Sum(std::span<const float> x);

// Takes the mean away, in place; a second pass takes away what rounding left of it. Returns the
// mean, u.
float RemoveMean(std::span<float> x);

// Of a signal whose mean was taken away, N samples; population moments (division by N):
//   rms = sqrt(sum(x^2) / N)            peak = max |x|                   (u)
//   crest = peak / rms
//   skewness = sum((x / rms)^3) / N     kurtosis = sum((x / rms)^4) / N  (3 for Gaussian noise)
// Formulas: Joanes and Gill, "Comparing measures of sample skewness and kurtosis", The Statistician
// 47(1), 1998 (g1 and g2 + 3); crest factor: ISO 13373-2.
struct Statistics {
  float rms = 0;
  float peak = 0;
  float crest = 0;
  float skewness = 0;
  float kurtosis = 0;
};
Statistics ComputeStatistics(std::span<const float> x);

// Sign changes per second (Hz), zero counting as positive: changes * rate_hz / (N - 1), as N
// samples span N - 1 sample periods. A sine of f Hz gives about 2 f.
float ZeroCrossingRate(std::span<const float> x, float rate_hz);

}  // namespace edgeloop::dsp
