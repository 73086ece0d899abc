// Windows and time-domain statistics against closed forms and double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "core/dsp/statistics.h"
#include "core/dsp/window.h"

namespace edgeloop::dsp {
namespace {

std::vector<float> Sine(std::size_t n, double cycles, double amplitude) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double turn = cycles * static_cast<double>(i) / static_cast<double>(n);
    x[i] = static_cast<float>(amplitude * std::sin(2 * std::numbers::pi * turn));
  }
  return x;
}

TEST(WindowTest, HasTheClosedForm) {
  for (const std::size_t n : {16U, 256U, 8192U}) {
    std::vector<float> w(n);
    FillWindow(WindowKind::kHann, w);
    for (std::size_t i = 0; i < n; ++i) {
      const double c =
          std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
      EXPECT_NEAR(w[i], 0.5 - 0.5 * c, 6e-8);
    }
    FillWindow(WindowKind::kHamming, w);
    for (std::size_t i = 0; i < n; ++i) {
      const double c =
          std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
      EXPECT_NEAR(w[i], 0.54 - 0.46 * c, 1.2e-7);
    }
    FillWindow(WindowKind::kRectangular, w);
    for (const float v : w) EXPECT_EQ(v, 1.0F);
  }
}

TEST(RemoveMeanTest, FindsASmallSignalOnALargeOffset) {
  // As an accelerometer's: 0.9 V at rest, millivolts of vibration.
  std::vector<float> x = Sine(2048, 31, 0.002);
  const std::vector<float> clean = x;
  for (float& v : x) v += 0.9F;
  EXPECT_NEAR(RemoveMean(x), 0.9, 1e-7);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x[i], clean[i], 6e-8);  // half an ulp of 0.9
  EXPECT_NEAR(Sum(x), 0.0, 1e-7);
}

TEST(StatisticsTest, OfASineHaveTheClosedForm) {
  const Statistics s = ComputeStatistics(Sine(2048, 16, 3.0));
  EXPECT_NEAR(s.rms, 3.0 / std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(s.peak, 3.0, 1e-6);
  EXPECT_NEAR(s.crest, std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(s.skewness, 0.0, 1e-6);
  EXPECT_NEAR(s.kurtosis, 1.5, 1e-6);
}

TEST(StatisticsTest, OfTwoLevelsHaveTheClosedForm) {
  // A Bernoulli variable with p = 1/4, standardised: skewness (1 - 2p) / sqrt(pq), kurtosis
  // (1 - 3pq) / pq.
  std::vector<float> x(1024);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 4 == 0 ? 7.5F : -2.5F;
  const Statistics s = ComputeStatistics(x);
  EXPECT_NEAR(s.skewness, 0.5 / std::sqrt(0.1875), 1e-6);
  EXPECT_NEAR(s.kurtosis, (1 - 3 * 0.1875) / 0.1875, 1e-6);
  EXPECT_NEAR(s.crest, 7.5 / std::sqrt(18.75), 1e-6);
}

TEST(StatisticsTest, OfNoiseMatchDoublePrecisionAtEveryScale) {
  std::mt19937 random(3);
  std::vector<double> noise(8192);
  for (double& v : noise) {
    v = 0;
    for (int i = 0; i < 12; ++i) v += static_cast<double>(random()) / 4294967296.0 - 0.5;
  }
  for (const double scale : {1e-6, 1.0, 1e6}) {
    std::vector<float> x(noise.size());
    double m2 = 0, m3 = 0, m4 = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(noise[i] * scale);
      const double v = x[i];
      m2 += v * v;
      m3 += v * v * v;
      m4 += v * v * v * v;
    }
    const double n = static_cast<double>(x.size());
    const Statistics s = ComputeStatistics(x);
    EXPECT_NEAR(s.rms / std::sqrt(m2 / n), 1.0, 1e-6) << scale;
    EXPECT_NEAR(s.skewness, m3 / n / std::pow(m2 / n, 1.5), 1e-6) << scale;
    EXPECT_NEAR(s.kurtosis, m4 / n / std::pow(m2 / n, 2), 5e-6) << scale;
  }
}

TEST(StatisticsTest, OfSilenceAreZeroAndFinite) {
  const Statistics s = ComputeStatistics(std::vector<float>(256, 0.0F));
  EXPECT_EQ(s.rms, 0.0F);
  EXPECT_EQ(s.crest, 0.0F);
  EXPECT_EQ(s.kurtosis, 0.0F);
  EXPECT_FLOAT_EQ(LogAmplitude(s.rms), std::log(kAmplitudeFloor));
  EXPECT_FLOAT_EQ(LogPower(0.0F), std::log(kPowerFloor));
}

TEST(ZeroCrossingRateTest, CountsTwoAPeriod) {
  std::vector<float> x = Sine(2000, 100, 1.0);  // 100 Hz in one second at 2 kHz
  EXPECT_NEAR(ZeroCrossingRate(x, 2000.0F), 200.0, 1.0);
  EXPECT_EQ(ZeroCrossingRate(std::vector<float>(16, 1.0F), 2000.0F), 0.0F);
}

}  // namespace
}  // namespace edgeloop::dsp
