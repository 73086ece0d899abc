#include "cli/recordings/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace edgeloop::recordings {
namespace {

using testing::HasSubstr;

std::string MotorData() {
  const char* dir = std::getenv("EDGELOOP_DATA_DIR");
  return std::string(dir && *dir ? dir : EDGELOOP_SOURCE_DIR "/../shared/data") + "/adi_cbm_motor";
}

TEST(Inspect, FindsTheOperatingPointsOfTheMotorRecordings) {
  if (!std::filesystem::exists(MotorData())) {
    GTEST_SKIP() << "no recordings in " << MotorData() << ": set EDGELOOP_DATA_DIR";
  }
  const auto json = Inspect({.dir = MotorData(), .baseline = {}, .changes = {}});
  ASSERT_TRUE(json) << json.error().ToString();
  EXPECT_EQ((*json)["recordings"].size(), 24u);
  const auto& stages = (*json)["plan"]["stages"];
  ASSERT_EQ(stages.size(), 3u) << (*json)["plan"].dump();
  EXPECT_EQ(stages[0]["conditions"]["speed_rpm"], 1800);
  EXPECT_EQ(stages[0]["conditions"]["extra_load_lb"], 0);
  EXPECT_EQ(stages[0]["faulty"].size(), 8u);
  EXPECT_EQ(stages[1]["conditions"]["speed_rpm"], 2400);
  EXPECT_EQ(stages[2]["conditions"]["extra_load_lb"], 11);

  // 40,000 frames, windows of 2048 every 512: 75 windows of each of the 8 healthy recordings.
  const auto& healthy = (*json)["features"]["healthy"];
  EXPECT_EQ(healthy["windows"], 8 * 75);
  for (const auto& [name, value] : healthy["mean"].items()) {
    EXPECT_TRUE(std::isfinite(value.get<double>())) << name;
  }
  EXPECT_GT((*json)["features"]["inner_heavy"]["mean"]["ch0.kurtosis"].get<double>(),
            healthy["mean"]["ch0.kurtosis"].get<double>());
}

TEST(Inspect, SaysWhatIsMissing) {
  const auto json = Inspect({.dir = "/no/such/folder", .baseline = {}, .changes = {}});
  ASSERT_FALSE(json);
  EXPECT_THAT(json.error().message(), HasSubstr("/no/such/folder"));
}

}  // namespace
}  // namespace edgeloop::recordings
