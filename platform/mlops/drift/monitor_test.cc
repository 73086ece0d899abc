#include "platform/mlops/drift/monitor.h"

#include <gtest/gtest.h>

#include <set>

#include "platform/mlops/testdata/lcg.h"

namespace edgeloop::mlops {
namespace {

constexpr int kFeatures = 10;

std::vector<float> Around(Lcg& lcg, double centre) {
  std::vector<float> features;
  for (int j = 0; j < kFeatures; ++j) {
    features.push_back(static_cast<float>(centre + lcg.Uniform() + lcg.Uniform()));
  }
  return features;
}

std::vector<std::vector<float>> Windows(Lcg& lcg, double centre, int count) {
  std::vector<std::vector<float>> windows;
  for (int i = 0; i < count; ++i) windows.push_back(Around(lcg, centre));
  return windows;
}

// Two regimes, around 0 and around 10, each played in two stretches; faults around 5.
Snapshot Reference(Lcg& lcg) {
  Snapshot snapshot;
  for (int j = 0; j < kFeatures; ++j) snapshot.schema.names.push_back("f" + std::to_string(j));
  for (std::uint16_t regime = 0; regime < 4; ++regime) {
    for (int i = 0; i < 40; ++i) {
      snapshot.rows.push_back(
          {Around(lcg, regime < 2 ? 0 : 10), "healthy", false, Purpose::kTraining, 0, regime});
      snapshot.rows.push_back({Around(lcg, 5), "broken", true, Purpose::kTraining, 0, regime});
    }
  }
  return snapshot;
}

class DriftMonitorTest : public testing::Test {
 protected:
  DriftMonitorTest() : monitor_(DriftMonitor::Create(Reference(lcg_), {.overlap = 1}).value()) {}
  DeviceDrift At(const std::string& device, double centre, int count = 40) {
    return monitor_.Evaluate(device, Windows(lcg_, centre, count));
  }
  Lcg lcg_{3};
  DriftMonitor monitor_;
};

TEST_F(DriftMonitorTest, StretchesOfTheSameOperationAreOneRegime) {
  EXPECT_EQ(monitor_.regimes(), 2u);
}

TEST_F(DriftMonitorTest, EachKnownRegimeAndAChangeBetweenThemIsNoDrift) {
  EXPECT_FALSE(At("a", 0).drifted);
  EXPECT_FALSE(At("a", 10).drifted);
  auto windows = Windows(lcg_, 0, 24);
  for (auto& window : Windows(lcg_, 10, 24)) windows.push_back(window);
  EXPECT_FALSE(monitor_.Evaluate("a", windows).drifted);
}

TEST_F(DriftMonitorTest, UnknownOperationIsDrift) {
  const DeviceDrift drift = At("a", 20);
  EXPECT_TRUE(drift.drifted);
  EXPECT_EQ(drift.moved_share, 1.0);
}

TEST_F(DriftMonitorTest, FewWindowsSayNothing) {
  const DeviceDrift drift = At("a", 20, 19);
  EXPECT_FALSE(drift.decided);
  EXPECT_FALSE(drift.drifted);
}

TEST_F(DriftMonitorTest, OneFaultyMachineIsNoDrift) {
  EXPECT_FALSE(monitor_.Judge(std::vector{At("a", 5), At("b", 0), At("c", 10)}).drifted);
  EXPECT_FALSE(monitor_.Judge(std::vector{At("a", 5), At("b", 0)}).drifted);
  const FleetDrift fleet = monitor_.Judge(std::vector{At("a", 20), At("b", 20), At("c", 10)});
  EXPECT_TRUE(fleet.drifted);
  EXPECT_EQ(fleet.devices_drifted, 2);
  EXPECT_TRUE(monitor_.Judge(std::vector{At("a", 20)}).drifted);  // the only machine there is
}

TEST_F(DriftMonitorTest, StrongestFeatureFirst) {
  auto windows = Windows(lcg_, 0, 40);
  for (auto& window : windows) {
    for (int j : {2, 3, 7}) window[j] += 100;
  }
  const FleetDrift fleet = monitor_.Judge(std::vector{monitor_.Evaluate("a", windows)});
  ASSERT_TRUE(fleet.drifted);
  std::set<std::string> first;
  for (int i = 0; i < 3; ++i) first.insert(fleet.features[i].name);
  EXPECT_EQ(first, (std::set<std::string>{"f2", "f3", "f7"}));
  EXPECT_GE(fleet.features[0].psi, fleet.features[1].psi);
}

TEST_F(DriftMonitorTest, NeedsAHealthyReference) {
  Snapshot empty;
  empty.schema.names = {"a"};
  EXPECT_FALSE(DriftMonitor::Create(empty, {}));
}

}  // namespace
}  // namespace edgeloop::mlops
