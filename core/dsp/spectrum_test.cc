// Spectra and envelopes against closed forms and a naive transform in double precision.
#include "core/dsp/spectrum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <random>
#include <vector>

#include "core/dsp/envelope.h"
#include "core/dsp/fft.h"
#include "core/dsp/statistics.h"
#include "core/dsp/window.h"

namespace edgeloop::dsp {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

std::vector<float> PowerOf(std::vector<float> x, WindowKind kind) {
  const std::size_t n = x.size();
  std::vector<float> tables(RealFft::TableFloats(n)), window(n), re(n / 2 + 1), im(n / 2 + 1);
  const RealFft fft(n, tables);
  FillWindow(kind, window);
  for (std::size_t i = 0; i < n; ++i) x[i] *= window[i];
  fft.Forward(x, re, im);
  std::vector<float> power(n / 2 + 1);
  PowerFromBins(re, im, WindowPower(window), power);
  return power;
}

std::vector<float> Tones(std::size_t n, double rate_hz,
                         std::initializer_list<std::pair<double, double>> hz_and_amplitude) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    double v = 0;
    for (const auto& [hz, amplitude] : hz_and_amplitude) {
      v += amplitude * std::sin(kTwoPi * hz * static_cast<double>(i) / rate_hz + 0.7);
    }
    x[i] = static_cast<float>(v);
  }
  return x;
}

std::vector<float> Noise(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random()) / 2147483648.0F - 1.0F;
  RemoveMean(x);
  return x;
}

TEST(PowerTest, SumsToTheMeanSquare) {
  const std::vector<float> x = Noise(2048, 4);
  double mean_square = 0;
  for (const float v : x) mean_square += static_cast<double>(v) * v / 2048;
  // Parseval, exact without a taper; an estimate with one.
  EXPECT_NEAR(Sum(PowerOf(x, WindowKind::kRectangular)) / mean_square, 1.0, 1e-6);
  EXPECT_NEAR(Sum(PowerOf(x, WindowKind::kHann)) / mean_square, 1.0, 0.1);
  // A tone off the bins keeps its power under either taper: A^2 / 2.
  for (const WindowKind kind : {WindowKind::kHann, WindowKind::kHamming}) {
    const std::vector<float> s = PowerOf(Tones(2048, 20000, {{1234.5, 3.0}}), kind);
    EXPECT_NEAR(Sum(s), 4.5, 0.01);
  }
}

TEST(PowerTest, MatchesTheDefinition) {
  const std::size_t n = 256;
  const std::vector<float> x = Noise(n, 5);
  std::vector<float> window(n);
  FillWindow(WindowKind::kHamming, window);
  double square_sum = 0;
  for (const float w : window) square_sum += static_cast<double>(w) * w;
  const std::vector<float> s = PowerOf(x, WindowKind::kHamming);
  for (std::size_t k = 0; k <= n / 2; ++k) {
    std::complex<double> bin;
    for (std::size_t i = 0; i < n; ++i) {
      bin += static_cast<double>(window[i]) * x[i] *
             std::polar(1.0, -kTwoPi * static_cast<double>(k * i % n) / n);
    }
    const double sides = k == 0 || k == n / 2 ? 1 : 2;
    EXPECT_NEAR(s[k], sides * std::norm(bin) / (n * square_sum), 1e-8) << k;
  }
}

TEST(BandTest, BinsPartitionTheSpectrumWithoutDc) {
  const float edges[] = {0.0F, 1.0F / 64, 0.1F, 0.1001F, 0.5F, 1.0F};
  for (const std::size_t half : {128U, 1024U, 4096U}) {
    std::size_t next = 1;
    for (int i = 0; i < 5; ++i) {
      const BinRange bins = BandBins(edges[i], edges[i + 1], half);
      EXPECT_EQ(bins.first, next);
      for (std::size_t k = bins.first; k < bins.end; ++k) {
        const double f = static_cast<double>(k) / static_cast<double>(half);
        EXPECT_TRUE(edges[i] <= f && (f < edges[i + 1] || f == 1.0)) << k;
      }
      next = bins.end;
    }
    EXPECT_EQ(next, half + 1);
  }
}

TEST(BandTest, PowerOfATonesBandIsItsMeanSquare) {
  const std::vector<float> s =
      PowerOf(Tones(2048, 20000, {{500, 2.0}, {6000, 0.1}}), WindowKind::kHann);
  EXPECT_NEAR(BandPower(s, BandBins(0.03F, 0.08F, 1024)), 2.0, 1e-4);
  EXPECT_NEAR(BandPower(s, BandBins(0.5F, 1.0F, 1024)), 0.005, 1e-5);
}

TEST(PeakTest, FindsTonesBetweenBins) {
  for (double fraction = 0; fraction < 1; fraction += 0.125) {
    const double bin_hz = 20000.0 / 2048;
    const double low = (40 + fraction) * bin_hz, high = (300 + fraction) * bin_hz;
    const std::vector<float> s =
        PowerOf(Tones(2048, 20000, {{low, 1.0}, {high, 2.5}}), WindowKind::kHann);
    SpectralPeak peaks[2];
    FindPeaks(s, 20000, peaks);
    EXPECT_NEAR(peaks[0].hz, high, 0.02 * bin_hz) << fraction;
    EXPECT_NEAR(peaks[1].hz, low, 0.02 * bin_hz) << fraction;
    EXPECT_NEAR(peaks[0].amplitude, 2.5, 0.0025) << fraction;
    EXPECT_NEAR(peaks[1].amplitude, 1.0, 0.001) << fraction;
  }
}

TEST(PeakTest, OfSilenceAreZero) {
  const std::vector<float> s = PowerOf(std::vector<float>(256, 0.0F), WindowKind::kHann);
  SpectralPeak peaks[3];
  FindPeaks(s, 20000, peaks);
  for (const SpectralPeak& peak : peaks) {
    EXPECT_EQ(peak.hz, 0.0F);
    EXPECT_EQ(peak.amplitude, 0.0F);
  }
  EXPECT_EQ(Centroid(s, 20000), 0.0F);
}

TEST(CentroidTest, WeighsFrequenciesByPower) {
  // Powers 4 : 1.
  const std::vector<float> s =
      PowerOf(Tones(2048, 20000, {{1000, 2.0}, {6000, 1.0}}), WindowKind::kHann);
  EXPECT_NEAR(Centroid(s, 20000), 2000, 0.5);
}

std::vector<float> EnvelopeOf(std::vector<float> x, float low, float high) {
  const std::size_t n = x.size();
  std::vector<float> tables(RealFft::TableFloats(n)), a(n + 2), b(n + 2);
  EnvelopeInPlace(RealFft(n, tables), BandBins(low, high, n / 2), x, a, b);
  return x;
}

TEST(EnvelopeTest, RecoversTheModulation) {
  // (1 + 0.5 cos(2 pi 20 n / N)) sin(2 pi 500 n / N): periodic in N, so the envelope is exact.
  const std::size_t n = 2048;
  std::vector<float> x(n), expected(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double turn = static_cast<double>(i) / static_cast<double>(n);
    expected[i] = static_cast<float>(1 + 0.5 * std::cos(kTwoPi * 20 * turn));
    x[i] = static_cast<float>(expected[i] * std::sin(kTwoPi * 500 * turn) +
                              2.0 * std::sin(kTwoPi * 30 * turn));  // shaft, outside the band
  }
  const std::vector<float> envelope = EnvelopeOf(x, 0.25F, 1.0F);
  for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(envelope[i], expected[i], 3e-6) << i;
}

TEST(EnvelopeTest, MatchesTheDefinitionOnNoise) {
  const std::size_t n = 256;
  const std::vector<float> x = Noise(n, 6);
  const BinRange band = BandBins(0.2F, 0.7F, n / 2);
  std::vector<std::complex<double>> analytic(n);
  for (std::size_t k = band.first; k < band.end; ++k) {
    std::complex<double> bin;
    for (std::size_t i = 0; i < n; ++i) {
      bin +=
          static_cast<double>(x[i]) * std::polar(1.0, -kTwoPi * static_cast<double>(k * i % n) / n);
    }
    for (std::size_t i = 0; i < n; ++i) {
      analytic[i] += 2.0 / n * bin * std::polar(1.0, kTwoPi * static_cast<double>(k * i % n) / n);
    }
  }
  const std::vector<float> envelope = EnvelopeOf(x, 0.2F, 0.7F);
  for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(envelope[i], std::abs(analytic[i]), 1e-6) << i;
}

}  // namespace
}  // namespace edgeloop::dsp
