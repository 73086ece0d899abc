#include "core/dsp/spectrum.h"

#include "core/base/math.h"
#include "core/dsp/statistics.h"

namespace edgeloop::dsp {
namespace {

constexpr std::size_t kMaxPeaks = 8;

std::size_t CeilBin(float fraction, std::size_t half) {
  const float exact = fraction * static_cast<float>(half);
  const auto floor = static_cast<std::size_t>(exact);
  return static_cast<float>(floor) < exact ? floor + 1 : floor;
}

bool NearOneOf(std::size_t bin, std::span<const std::size_t> taken) {
  for (const std::size_t other : taken) {
    if ((bin > other ? bin - other : other - bin) <= kPeakGuardBins) return true;
  }
  return false;
}

}  // namespace

float WindowPower(std::span<const float> window) {
  float power = 0;
  for (const float w : window) power += w * w;
  return power;
}

void PowerFromBins(std::span<const float> re, std::span<const float> im, float window_power,
                   std::span<float> power) {
  const std::size_t half = power.size() - 1;
  const float scale = 1.0F / (static_cast<float>(2 * half) * window_power);
  for (std::size_t k = 0; k <= half; ++k) {
    power[k] = (re[k] * re[k] + im[k] * im[k]) * (2 * scale);
  }
  power[0] *= 0.5F;
  power[half] *= 0.5F;
}

BinRange BandBins(float low, float high, std::size_t half) {
  BinRange bins{CeilBin(low, half), CeilBin(high, half)};
  if (bins.first == 0) bins.first = 1;
  if (high >= 1.0F) bins.end = half + 1;
  return bins;
}

float BandPower(std::span<const float> power, BinRange bins) {
  return Sum(power.subspan(bins.first, bins.end - bins.first));
}

void FindPeaks(std::span<const float> power, float rate_hz, std::span<SpectralPeak> peaks) {
  const std::size_t half = power.size() - 1;
  const float n = static_cast<float>(2 * half);
  std::size_t taken[kMaxPeaks] = {};
  const std::size_t count = peaks.size() < kMaxPeaks ? peaks.size() : kMaxPeaks;
  for (SpectralPeak& peak : peaks) peak = {};
  for (std::size_t found = 0; found < count; ++found) {
    std::size_t best = 0;
    for (std::size_t k = 1; k < half; ++k) {
      if (power[k] <= (best == 0 ? kPowerFloor : power[best])) continue;
      if (!(power[k] > power[k - 1] && power[k] >= power[k + 1])) continue;
      if (!NearOneOf(k, {taken, found})) best = k;
    }
    if (best == 0) return;
    taken[found] = best;
    const float left = LogPower(power[best - 1]);
    const float top = LogPower(power[best]);
    const float right = LogPower(power[best + 1]);
    const float bend = left - 2 * top + right;  // <= 0; 0 when all three are at the floor
    const float offset = bend < 0 ? 0.5F * (left - right) / bend : 0.0F;  // bins, -0.5..0.5
    peaks[found].hz = (static_cast<float>(best) + offset) * rate_hz / n;
    float lobe = 0;
    for (std::size_t k = best < kPeakGuardBins ? 0 : best - kPeakGuardBins;
         k <= best + kPeakGuardBins && k <= half; ++k) {
      lobe += power[k];
    }
    peaks[found].amplitude = core::Sqrt(2 * lobe);
  }
}

float Centroid(std::span<const float> power, float rate_hz) {
  const std::size_t half = power.size() - 1;
  const float total = Sum(power.subspan(1));
  if (total < kPowerFloor) return 0;
  float moment = 0;
  for (std::size_t k = 1; k <= half; ++k) moment += static_cast<float>(k) * (power[k] / total);
  return moment * rate_hz / static_cast<float>(2 * half);
}

}  // namespace edgeloop::dsp
