#include "platform/mlops/drift/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "platform/mlops/testdata/lcg.h"

namespace edgeloop::mlops {
namespace {

struct Samples {
  std::vector<double> a, b;
};

// As two_samples() of testdata/golden.py.
Samples TwoSamples(int n, int m, double shift, double scale) {
  Lcg lcg(7);
  Samples samples;
  for (int i = 0; i < n; ++i) samples.a.push_back(lcg.Uniform());
  for (int i = 0; i < m; ++i) samples.b.push_back(shift + scale * lcg.Uniform());
  return samples;
}

struct Golden {
  int n, m;
  double shift, scale, distance, p_value, psi;
};

TEST(DriftStatistics, AgreeWithScipy) {
  const Golden golden[] = {
      {40, 25, 0.0, 1.0, 0.245, 2.729700246945e-01, 0.415151172703},
      {40, 25, 0.3, 1.0, 0.445, 2.826925164777e-03, 0.967264911156},
      {100, 64, 0.1, 0.5, 0.4, 4.325931548443e-06, 1.717294068951},
  };
  for (const Golden& g : golden) {
    const Samples s = TwoSamples(g.n, g.m, g.shift, g.scale);
    const double distance = KsDistance(s.a, s.b);
    EXPECT_NEAR(distance, g.distance, 1e-12);
    EXPECT_NEAR(KsPValue(distance, g.n, g.m), g.p_value, 1e-9);
    EXPECT_NEAR(Psi(s.a, s.b, QuantileEdges(s.a)), g.psi, 1e-10);
  }
}

TEST(DriftStatistics, PsiByHand) {
  // Reference 1..8 in two bins, four each; live: one below, three above. Half a count is added.
  const std::vector<double> reference = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> live = {1, 6, 7, 8};
  const std::vector<double> edges = QuantileEdges(reference, 2);
  ASSERT_EQ(edges.size(), 1u);
  EXPECT_DOUBLE_EQ(edges[0], 4.5);
  const double p = 0.5;
  const double q = 1.5 / 5;
  EXPECT_NEAR(Psi(reference, live, edges),
              (q - p) * std::log(q / p) + ((1 - q) - (1 - p)) * std::log((1 - q) / (1 - p)), 1e-12);
}

TEST(DriftStatistics, EqualSamplesAreNotApart) {
  const std::vector<double> x = {3, 1, 2, 2, 5};
  EXPECT_EQ(KsDistance(x, x), 0);
  EXPECT_EQ(KsPValue(0, 5, 5), 1);
  EXPECT_NEAR(Psi(x, x, QuantileEdges(x)), 0, 1e-12);
}

TEST(DriftStatistics, KsWithTies) {
  const std::vector<double> a = {1, 1, 2, 2};
  const std::vector<double> b = {1, 2, 2, 3};
  EXPECT_DOUBLE_EQ(KsDistance(a, b), 0.25);
}

TEST(DriftStatistics, AConstantFeatureIsNoTrap) {
  const std::vector<double> same(20, 1.0);
  const std::vector<double> other(20, 2.0);
  EXPECT_NEAR(Psi(same, same, QuantileEdges(same)), 0, 1e-12);
  EXPECT_TRUE(std::isfinite(Psi(same, other, QuantileEdges(same))));
  EXPECT_EQ(KsDistance(same, other), 1);
}

TEST(DriftStatistics, NoiseFloorIsWhatEqualDistributionsShow) {
  std::printf("seed 7\n");
  Lcg lcg(7);
  double sum = 0;
  constexpr int kTrials = 400;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a, b;
    for (int i = 0; i < 200; ++i) a.push_back(lcg.Uniform());
    for (int i = 0; i < 200; ++i) b.push_back(lcg.Uniform());
    sum += Psi(a, b, QuantileEdges(a));
  }
  EXPECT_NEAR(sum / kTrials, PsiNoiseFloor(8, 200, 200), 0.01);
}

TEST(DriftStatistics, BenjaminiHochberg) {
  // The example of Benjamini and Hochberg (1995), section 3.1: the first four at 0.05.
  const std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                                 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const auto rejected = RejectAtRate(p, 0.05);
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_EQ(rejected[i], i < 4) << i;
}

}  // namespace
}  // namespace edgeloop::mlops
