#include "inference/module/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace edgeloop::module {
namespace {

TEST(Statistics, MedianAndDeviationIgnoreOutliers) {
  EXPECT_EQ(Median({}), 0);
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  const std::vector<double> values = {1, 2, 3, 4, 1e9};
  EXPECT_NEAR(RobustDeviation(values, 3), 1.4826, 1e-12);
}

TEST(Statistics, LogOddsIsHeld) {
  EXPECT_NEAR(LogOdds(0.5), 0, 1e-12);
  EXPECT_NEAR(Sigmoid(LogOdds(0.3)), 0.3, 1e-12);
  EXPECT_EQ(LogOdds(1), LogOdds(0.9999));
  EXPECT_NEAR(LogOdds(0), -LogOdds(1), 1e-12);
}

TEST(Statistics, EwmaAndCusum) {
  EXPECT_EQ(Ewma({}, 0.5), 0);
  EXPECT_NEAR(Ewma(std::vector<double>{0, 1, 1}, 0.5), 0.75, 1e-12);
  EXPECT_NEAR(Cusum(std::vector<double>{-5, 3, 3, -1}, 1, 60), 2, 1e-12);
  EXPECT_NEAR(Cusum(std::vector<double>(100, 3.0), 1, 60), 60, 1e-12);
}

TEST(Statistics, TrendIsFoundAmongOutliers) {
  std::vector<double> x, y;
  for (int i = 0; i < 40; ++i) {
    x.push_back(i);
    y.push_back(i % 9 == 4 ? -100 : 0.5 * i);
  }
  const Trend trend = TrendOf(x, y);
  EXPECT_NEAR(trend.slope, 0.5, 0.05);
  EXPECT_GT(trend.z, 4);
  const Trend flat = TrendOf(x, std::vector<double>(40, 1.0));
  EXPECT_EQ(flat.slope, 0);
  EXPECT_EQ(flat.z, 0);
  EXPECT_EQ(TrendOf({}, {}).z, 0);
}

// Mann-Kendall's published form by hand: 8 rising values, S = 28, variance = 8*7*21/18.
TEST(Statistics, MannKendallByHand) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_NEAR(TrendOf(x, x).z, 27 / std::sqrt(8.0 * 7 * 21 / 18), 1e-12);
}

}  // namespace
}  // namespace edgeloop::module
