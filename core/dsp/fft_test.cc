#include "core/dsp/fft.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <random>
#include <vector>

#include "core/dsp/trig_table.h"

namespace edgeloop::dsp {
namespace {

std::vector<float> Noise(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random()) / 2147483648.0F - 1.0F;
  return x;
}

// The definition, in double precision, with exact angle reduction.
std::vector<std::complex<double>> NaiveDft(const std::vector<float>& x) {
  const std::size_t n = x.size();
  std::vector<std::complex<double>> unit(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    unit[i] = {std::cos(angle), std::sin(angle)};
  }
  std::vector<std::complex<double>> bins(n / 2 + 1);
  for (std::size_t k = 0; k < bins.size(); ++k) {
    for (std::size_t i = 0; i < n; ++i) bins[k] += static_cast<double>(x[i]) * unit[k * i % n];
  }
  return bins;
}

class RealFftTest : public testing::TestWithParam<std::size_t> {
 protected:
  std::size_t n_ = GetParam();
  std::vector<float> tables_ = std::vector<float>(RealFft::TableFloats(n_));
  RealFft fft_{n_, tables_};
  std::vector<float> re_ = std::vector<float>(n_ / 2 + 1);
  std::vector<float> im_ = std::vector<float>(n_ / 2 + 1);
};

TEST_P(RealFftTest, MatchesTheDefinition) {
  const std::vector<float> x = Noise(n_, 1);
  const auto expected = NaiveDft(x);
  double largest = 0;
  for (const auto& bin : expected) largest = std::max(largest, std::abs(bin));
  fft_.Forward(x, re_, im_);
  for (std::size_t k = 0; k <= n_ / 2; ++k) {
    EXPECT_NEAR(re_[k], expected[k].real(), 1e-6 * largest) << k;
    EXPECT_NEAR(im_[k], expected[k].imag(), 1e-6 * largest) << k;
  }
}

TEST_P(RealFftTest, InverseRestoresTheSignal) {
  const std::vector<float> x = Noise(n_, 2);
  fft_.Forward(x, re_, im_);
  std::vector<float> back(n_);
  fft_.Inverse(re_, im_, back);
  for (std::size_t i = 0; i < n_; ++i) EXPECT_NEAR(back[i], x[i], 2e-6) << i;
}

TEST_P(RealFftTest, ImpulseIsFlatAndConstantIsDc) {
  std::vector<float> x(n_, 0.0F);
  x[0] = 1;
  fft_.Forward(x, re_, im_);
  for (std::size_t k = 0; k <= n_ / 2; ++k) {
    EXPECT_FLOAT_EQ(re_[k], 1.0F);
    EXPECT_NEAR(im_[k], 0.0F, 1e-7);
  }
  std::fill(x.begin(), x.end(), 1.0F);
  fft_.Forward(x, re_, im_);
  EXPECT_FLOAT_EQ(re_[0], static_cast<float>(n_));
  for (std::size_t k = 1; k <= n_ / 2; ++k) EXPECT_NEAR(std::hypot(re_[k], im_[k]), 0.0, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Sizes, RealFftTest,
                         testing::Values(16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
                         testing::PrintToStringParamName());

TEST(TrigTableTest, IsCorrectlyRoundedSineAndCosine) {
  for (std::size_t step = 0; step < 2 * kTurnSteps; ++step) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(step % kTurnSteps) / kTurnSteps;
    EXPECT_NEAR(SinTurn(step), std::sin(angle), 3.1e-8) << step;
    EXPECT_NEAR(CosTurn(step), std::cos(angle), 3.1e-8) << step;
  }
  EXPECT_EQ(SinTurn(0), 0.0F);
  EXPECT_EQ(SinTurn(kTurnSteps / 4), 1.0F);
  EXPECT_EQ(CosTurn(kTurnSteps / 2), -1.0F);
}

TEST(IsFftSizeTest, AcceptsPowersOfTwoInRange) {
  EXPECT_TRUE(IsFftSize(16));
  EXPECT_TRUE(IsFftSize(8192));
  for (const std::size_t n : {0, 1, 8, 17, 48, 3000, 16384}) EXPECT_FALSE(IsFftSize(n)) << n;
}

}  // namespace
}  // namespace edgeloop::dsp
