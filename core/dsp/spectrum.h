// Power spectrum and what is read from it. `u` is the physical unit of the samples; N the number of
// samples; bins k = 0..N/2 lie rate_hz / N apart. Bin 0 (the mean) is never counted.
#pragma once

#include <cstddef>
#include <span>

#include "core/dsp/fft.h"

namespace edgeloop::dsp {

// Sum of w[n]^2, which normalises power spectra.
float WindowPower(std::span<const float> window);

// One-sided power spectrum (u^2): power[k] = c_k |X[k]|^2 / (N sum(w^2)), c_k = 2, but 1 for bins 0
// and N/2, where X is the transform of w x. Its sum over bins estimates mean(x^2) (exactly so for
// the rectangular window: Parseval). Formula: G. Heinzel, A. Ruediger, R. Schilling, "Spectrum and
// spectral density estimation by the DFT", 2002, eqs. 19-24.
// re, im, power: N/2 + 1; power may be re or im.
void PowerFromBins(std::span<const float> re, std::span<const float> im, float window_power,
                   std::span<float> power);

// Bins [first, end) of a band given by two fractions of Nyquist: low <= k / (N/2) < high, but
// including N/2 when high is 1, and without bin 0. Exact: N/2 is a power of two.
struct BinRange {
  std::size_t first = 0;
  std::size_t end = 0;
  bool empty() const { return first >= end; }
};
BinRange BandBins(float low, float high, std::size_t half);

// Sum of the power in a band, u^2.
float BandPower(std::span<const float> power, BinRange bins);

// The highest local maxima of the spectrum, highest first; maxima within kPeakGuardBins of a higher
// one are its side lobes and do not count. Where there is no further peak above kPowerFloor, hz and
// amplitude are 0. hz: the top of the parabola through the logarithms of the three highest bins
// (J. O. Smith, "Spectral Audio Signal Processing", section "Quadratic Interpolation of Spectral
// Peaks"); with the Hann window within 0.02 bins for a lone sine. amplitude: of the sine that has
// the power of the bins up to kPeakGuardBins away, sqrt(2 sum(power)); with the Hann window within
// 0.1 % for a lone sine wherever it lies between bins.
inline constexpr std::size_t kPeakGuardBins = 2;  // half a main lobe of Hann and Hamming
struct SpectralPeak {
  float hz = 0;
  float amplitude = 0;  // u, of the sine that makes this peak
};
void FindPeaks(std::span<const float> power, float rate_hz, std::span<SpectralPeak> peaks);

// Power-weighted mean frequency, Hz: sum(f_k power[k]) / sum(power[k]); 0 below kPowerFloor.
// Formula: G. Peeters, "A large set of audio features", Ircam 2004, section 6.1.1.
float Centroid(std::span<const float> power, float rate_hz);

}  // namespace edgeloop::dsp
