#include "platform/mlops/train/threshold.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace edgeloop::mlops {
namespace {

TEST(Threshold, QuantileIsNumpysDefault) {
  const std::vector<double> values = {4, 1, 3, 2, 10};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.05), 1.2);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.99), 9.76);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 10);
}

TEST(Threshold, LiesBetweenTheClasses) {
  const std::vector<double> healthy(100, -4.0);
  const std::vector<double> faulty(100, 4.0);
  const Thresholds thresholds = ChooseThresholds(healthy, faulty, {.position = 0.25});
  EXPECT_NEAR(thresholds.alarm_on, 1 / (1 + std::exp(2.0)), 1e-6);   // -4 + 8/4
  EXPECT_NEAR(thresholds.alarm_off, 1 / (1 + std::exp(2.5)), 1e-6);  // -4 + 3/4 * 2
}

TEST(Threshold, WhereTheClassesCrossTheHealthyEdgeDecides) {
  std::vector<double> healthy, faulty;
  for (int i = 0; i < 100; ++i) {
    healthy.push_back(i * 0.01);
    faulty.push_back(0.5 + i * 0.01);
  }
  const Thresholds thresholds = ChooseThresholds(healthy, faulty, {});
  EXPECT_NEAR(thresholds.alarm_on, 1 / (1 + std::exp(-Quantile(healthy, 1.0))), 1e-6);
  EXPECT_LE(thresholds.alarm_off, thresholds.alarm_on);
  EXPECT_GT(thresholds.alarm_off, 0);
}

TEST(Threshold, StaysReachable) {
  const std::vector<double> far(10, 1e6);
  EXPECT_LT(ChooseThresholds(far, far, {}).alarm_on, 1.0F);
}

}  // namespace
}  // namespace edgeloop::mlops
