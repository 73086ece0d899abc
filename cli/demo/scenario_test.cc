#include "cli/demo/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace edgeloop::demo {
namespace {

using testing::HasSubstr;

constexpr double kFrames = 40'000;  // of each recording

std::string MotorData() {
  const char* dir = std::getenv("EDGELOOP_DATA_DIR");
  return std::string(dir && *dir ? dir : EDGELOOP_SOURCE_DIR "/../shared/data") + "/adi_cbm_motor";
}

// First and end frame of a replay segment, as the source computes them.
std::pair<uint64_t, uint64_t> Frames(const sensors::Segment& segment) {
  const auto& replay = std::get<sensors::ReplaySegment>(segment.content);
  return {static_cast<uint64_t>(std::floor(replay.from * kFrames)) + replay.phase,
          static_cast<uint64_t>(std::floor(replay.to * kFrames))};
}

class ReplayScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(MotorData())) {
      GTEST_SKIP() << "no recordings in " << MotorData() << ": set EDGELOOP_DATA_DIR";
    }
    auto scenario =
        CreateScenario({.devices = 4, .data_dir = MotorData(), .baseline = {}, .changes = {}});
    ASSERT_TRUE(scenario) << scenario.error().ToString();
    scenario_ = std::move(*scenario);
  }
  std::unique_ptr<Scenario> scenario_;
};

TEST_F(ReplayScenarioTest, WhatIsShownWasNeverLabelled) {
  std::map<std::string, std::pair<uint64_t, uint64_t>> labelled;  // first and last frame of a file
  for (int d = 0; d < 4; ++d) {
    for (int stage = 0; stage < 3; ++stage) {
      auto all = scenario_->Learn(stage, d, 12);
      if (stage == 0) {
        for (auto& entry : scenario_->Commission(d)) all.push_back(entry);
      }
      for (const auto& entry : all) {
        const auto& file = std::get<sensors::ReplaySegment>(entry.segment.content).file;
        labelled[file].second = std::max(labelled[file].second, Frames(entry.segment).second);
      }
    }
  }
  for (int d = 0; d < 4; ++d) {
    for (int stage = 0; stage < 3; ++stage) {
      auto shown = scenario_->Show(stage, d, 0);
      for (size_t f = 0; f < scenario_->stages()[stage].faults.size(); ++f) {
        shown.push_back(scenario_->Fault(stage, d, static_cast<int>(f)));
      }
      for (const auto& segment : shown) {
        const auto& file = std::get<sensors::ReplaySegment>(segment.content).file;
        EXPECT_GE(Frames(segment).first, labelled[file].second) << file;
      }
    }
  }
}

TEST_F(ReplayScenarioTest, TrainingAndValidationDoNotTouch) {
  for (int d = 0; d < 4; ++d) {
    for (const auto& entry : scenario_->Commission(d)) {
      const auto [first, end] = Frames(entry.segment);
      if (entry.validation) {
        EXPECT_GE(first, 16'800u);
        EXPECT_LE(end, 24'000u);
      } else {
        EXPECT_LE(end, 16'000u);
      }
    }
  }
}

TEST_F(ReplayScenarioTest, ShortRunsHoldTheSameWindows) {
  const auto starts = [&](int max_windows) {
    std::set<std::pair<std::string, uint64_t>> windows;
    for (const auto& segment : scenario_->Show(2, 1, max_windows)) {
      const auto [first, end] = Frames(segment);
      int count = 0;
      for (uint64_t at = first; at + 2048 <= end; at += 512, ++count) {
        windows.insert({std::get<sensors::ReplaySegment>(segment.content).file, at});
      }
      EXPECT_GT(count, 0);
      if (max_windows > 0) {
        EXPECT_LE(count, max_windows);
      }
    }
    return windows;
  };
  EXPECT_EQ(starts(0), starts(7));
  EXPECT_EQ(starts(0), starts(12));
}

TEST_F(ReplayScenarioTest, EachFaultIsCommissionedOnOneDevice) {
  std::map<std::string, std::set<int>> where;
  for (int d = 0; d < 4; ++d) {
    for (const auto& entry : scenario_->Commission(d)) {
      if (entry.faulty) where[entry.label].insert(d);
    }
  }
  EXPECT_EQ(where.size(), 8u);
  for (const auto& [label, devices] : where) EXPECT_EQ(devices.size(), 1u) << label;
}

TEST_F(ReplayScenarioTest, DevicesSeeDifferentWindows) {
  std::set<uint64_t> starts;
  for (int d = 0; d < 4; ++d) starts.insert(Frames(scenario_->Show(0, d, 0)[0]).first);
  EXPECT_EQ(starts.size(), 4u);
}

TEST(MotorScenario, SeedsDiffer) {
  const auto scenario =
      CreateScenario({.devices = 3, .seed = 9, .data_dir = "", .baseline = {}, .changes = {}});
  ASSERT_TRUE(scenario) << scenario.error().ToString();
  ASSERT_EQ((*scenario)->stages().size(), 3u);
  std::set<uint64_t> seeds;
  size_t count = 0;
  const auto add = [&](const sensors::Segment& segment) {
    seeds.insert(std::get<sensors::MotorSegment>(segment.content).seed);
    ++count;
  };
  for (int d = 0; d < 3; ++d) {
    for (const auto& entry : (*scenario)->Commission(d)) add(entry.segment);
    for (int stage = 1; stage < 3; ++stage) {
      for (const auto& entry : (*scenario)->Learn(stage, d, 12)) add(entry.segment);
      for (const auto& segment : (*scenario)->Show(stage, d, 12)) add(segment);
    }
  }
  EXPECT_EQ(seeds.size(), count);
}

TEST(MotorScenario, TheSameSeedGivesTheSameSegments) {
  const auto once = CreateScenario({.seed = 5, .data_dir = "", .baseline = {}, .changes = {}});
  const auto again = CreateScenario({.seed = 5, .data_dir = "", .baseline = {}, .changes = {}});
  const auto other = CreateScenario({.seed = 6, .data_dir = "", .baseline = {}, .changes = {}});
  ASSERT_TRUE(once && again && other);
  const auto first = [](const auto& scenario) {
    auto segment = (*scenario)->Commission(0)[0].segment;
    segment.id = "s";
    return segment.ToJson().dump();
  };
  EXPECT_EQ(first(once), first(again));
  EXPECT_NE(first(once), first(other));
}

TEST(MotorScenario, UnknownConditionsAreRefused) {
  const auto scenario = CreateScenario(
      {.data_dir = "", .baseline = {}, .changes = {{{"humidity", 3.0}}, {{"load", 1.0}}}});
  ASSERT_FALSE(scenario);
  EXPECT_EQ(scenario.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(scenario.error().message(), HasSubstr("humidity"));
}

}  // namespace
}  // namespace edgeloop::demo
