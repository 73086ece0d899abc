// Runs `edgeloop demo` as a user does and holds its JSON summary against what it promises.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/process/child.h"

namespace edgeloop {
namespace {

using nlohmann::json;

// The demo ends by itself within five minutes; a slow machine gets a little more.
constexpr std::chrono::seconds kDemoLimit{360};

class DemoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "edgeloop-demo-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  json RunDemo(std::vector<std::string> arguments) {
    const std::string summary = dir_ / "summary.json";
    const std::string output = dir_ / "output.txt";
    std::vector<std::string> command = {EDGELOOP_BIN_DIR "/edgeloop", "demo", "--json", summary};
    command.insert(command.end(), arguments.begin(), arguments.end());
    auto child = process::Child::Start({.command = command, .output_path = output});
    if (!child) {
      ADD_FAILURE() << child.error().ToString();
      return {};
    }
    const auto status = child->WaitFor(kDemoLimit);
    std::ifstream text(output);
    const std::string log{std::istreambuf_iterator<char>(text), {}};
    EXPECT_TRUE(status.has_value()) << "did not end by itself:\n" << log;
    EXPECT_EQ(status.value_or(-1), 0) << log;
    std::ifstream file(summary);
    json result = json::parse(file, nullptr, false);
    EXPECT_FALSE(result.is_discarded()) << "no summary:\n" << log;
    return result;
  }

  static void ExpectTheStory(const json& summary) {
    SCOPED_TRACE(summary.dump(2));
    const json& records = summary.at("records");
    EXPECT_GT(records.at("produced").get<uint64_t>(), 0u);
    EXPECT_EQ(records.at("produced"), records.at("durable"));
    EXPECT_EQ(records.at("lost"), 0);
    EXPECT_GT(summary.at("faults").at("injected").get<int>(), 0);
    EXPECT_EQ(summary.at("faults").at("tripped"), summary.at("faults").at("injected"));
    EXPECT_GE(summary.at("drift").size(), 2u);
    for (const json& drift : summary.at("drift")) EXPECT_FALSE(drift.at("features").empty());
    // The first model, then a retraining for each of two changes.
    ASSERT_GE(summary.at("rollouts").size(), 3u);
    for (size_t i = 0; i < summary.at("rollouts").size(); ++i) {
      const json& rollout = summary.at("rollouts")[i];
      EXPECT_EQ(rollout.at("devices_updated"), summary.at("devices"));
      if (i == 0) continue;
      EXPECT_GE(rollout.at("challenger_f1").get<double>(), rollout.at("champion_f1").get<double>());
      EXPECT_LT(rollout.at("false_alarm_rate_after").get<double>(),
                rollout.at("false_alarm_rate_before").get<double>());
    }
    EXPECT_GE(summary.at("rejected_models").size(), 2u);
    EXPECT_LT(summary.at("elapsed_s").get<double>(), 300.0);
  }

  static std::vector<std::string> ModelDigests(const json& summary) {
    std::vector<std::string> digests;
    for (const json& rollout : summary.at("rollouts")) digests.push_back(rollout.at("digest"));
    return digests;
  }

  std::filesystem::path dir_;
};

TEST_F(DemoTest, SimulatedMotorsAndTheSameSeedGivesTheSameModels) {
  const json first = RunDemo({"--seed", "7", "--devices", "3"});
  ASSERT_FALSE(HasFailure());
  ExpectTheStory(first);
  const json second = RunDemo({"--seed", "7", "--devices", "3"});
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(ModelDigests(first), ModelDigests(second));
  EXPECT_EQ(first.at("faults"), second.at("faults"));
}

TEST_F(DemoTest, RealRecordings) {
  const char* given = std::getenv("EDGELOOP_DATA_DIR");
  const std::filesystem::path data =
      std::filesystem::path(given ? given : EDGELOOP_SOURCE_DIR "/../shared/data") /
      "adi_cbm_motor";
  if (!std::filesystem::exists(data / "index.csv")) {
    GTEST_SKIP() << "no recordings at " << data << "; set EDGELOOP_DATA_DIR";
  }
  const json summary = RunDemo({"--data", data.string(), "--seed", "7"});
  ASSERT_FALSE(HasFailure());
  ExpectTheStory(summary);
}

}  // namespace
}  // namespace edgeloop
