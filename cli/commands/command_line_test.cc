#include "cli/commands/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace edgeloop::commands {
namespace {

using testing::HasSubstr;

struct Result {
  int code;
  std::string out, err;
};

Result RunWith(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "edgeloop");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = RunCommandLine(static_cast<int>(arguments.size()), arguments.data());
  std::fflush(stdout);
  const std::string out = testing::internal::GetCapturedStdout();
  return {code, out, testing::internal::GetCapturedStderr()};
}

class CommandLineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "commands.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(CommandLineTest, HelpExplainsEachCommand) {
  EXPECT_EQ(RunWith({"--help"}).code, 0);
  for (const char* command : {"demo", "up", "down", "status", "devices", "models", "alerts",
                              "streams", "pipelines", "data", "init", "completion"}) {
    const Result result = RunWith({command, "--help"});
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_THAT(result.out, HasSubstr(command));
  }
  EXPECT_THAT(RunWith({"status", "--help"}).out, HasSubstr("Examples"));
}

TEST_F(CommandLineTest, WrongUseIsTwo) {
  EXPECT_EQ(RunWith({}).code, 2);
  EXPECT_EQ(RunWith({"no-such-command"}).code, 2);
  EXPECT_EQ(RunWith({"status", "--no-such-option"}).code, 2);
  EXPECT_EQ(RunWith({"demo", "--devices", "0"}).code, 2);
  EXPECT_EQ(RunWith({"demo", "--devices", "many"}).code, 2);
  EXPECT_EQ(RunWith({"demo", "--change", "speed_rpm"}).code, 2);
  EXPECT_EQ(RunWith({"completion", "tcsh"}).code, 2);
  EXPECT_EQ(RunWith({"devices", "reset", "not a device"}).code, 2);
  EXPECT_EQ(RunWith({"streams", "tail"}).code, 2);
}

TEST_F(CommandLineTest, AConfigurationThatIsWrongIsTwo) {
  const std::string path = dir_ + "/edgeloop.yaml";
  std::ofstream(path) << "devises: 3\n";
  const Result result = RunWith({"up", "--config", path.c_str(), "--state", dir_.c_str()});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("devices"));
}

TEST_F(CommandLineTest, WithoutAPlatformTheFixIsNamed) {
  for (const std::vector<const char*>& command :
       std::vector<std::vector<const char*>>{{"status"},
                                             {"down"},
                                             {"devices"},
                                             {"models"},
                                             {"alerts"},
                                             {"streams", "list"},
                                             {"pipelines", "status"},
                                             {"devices", "reset", "gw-01/motor-01"}}) {
    std::vector<const char*> arguments = command;
    arguments.insert(arguments.end(), {"--state", dir_.c_str()});
    const Result result = RunWith(arguments);
    EXPECT_EQ(result.code, 1) << command[0];
    EXPECT_THAT(result.err, HasSubstr("edgeloop up")) << command[0];
  }
}

TEST_F(CommandLineTest, ErrorsAreJsonWhenAskedFor) {
  const Result result = RunWith({"status", "--json", "--state", dir_.c_str()});
  const auto json = nlohmann::json::parse(result.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << result.out;
  EXPECT_TRUE(json["error"].contains("message"));
}

TEST_F(CommandLineTest, InitWritesAConfigurationOnce) {
  const std::string path = dir_ + "/edgeloop.yaml";
  EXPECT_EQ(RunWith({"init", path.c_str()}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(RunWith({"init", path.c_str()}).code, 2);
}

}  // namespace
}  // namespace edgeloop::commands
