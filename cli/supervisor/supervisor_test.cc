#include "cli/supervisor/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

namespace edgeloop::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "supervisor.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  ProcessSpec Shell(const std::string& name, const std::string& script) const {
    return {.name = name,
            .command = {"/bin/sh", "-c", script},
            .log_path = Path(name + ".log"),
            .ready = nullptr};
  }
  static Supervisor::Options Fast() {
    Supervisor::Options options;
    options.back_off = {.first = 1ms, .most = 8ms, .stable = 60s, .failing_after = 4};
    return options;
  }
  static ProcessState Of(const Supervisor& supervisor, const std::string& name) {
    const auto states = supervisor.Snapshot();
    const auto it = std::ranges::find(states, name, &ProcessState::name);
    return it == states.end() ? ProcessState{} : *it;
  }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(2ms);
    }
    return true;
  }
  std::string Content(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string dir_;
};

TEST(BackOff, DoublesToItsLimitAndStartsAnewAfterAStableRun) {
  BackOff back_off({.first = 200ms, .most = 1000ms, .stable = 20s, .failing_after = 3});
  EXPECT_EQ(back_off.Died(1s), 200ms);
  EXPECT_EQ(back_off.Died(1s), 400ms);
  EXPECT_FALSE(back_off.failing());
  EXPECT_EQ(back_off.Died(1s), 800ms);
  EXPECT_TRUE(back_off.failing());
  EXPECT_EQ(back_off.Died(1s), 1000ms);
  EXPECT_EQ(back_off.Died(1s), 1000ms);
  EXPECT_EQ(back_off.Died(21s), 200ms);
  EXPECT_EQ(back_off.deaths_in_row(), 1);
}

TEST_F(SupervisorTest, WaitsUntilReady) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  ProcessSpec spec = Shell("one", "touch " + Path("up") + "; exec sleep 1000");
  spec.ready = [this]() -> Status {
    if (std::filesystem::exists(Path("up"))) return {};
    return Fail(ErrorCode::kUnavailable, "no file yet");
  };
  const Status started = (*supervisor)->Start(spec, 20s);
  ASSERT_TRUE(started) << started.error().ToString();
  EXPECT_EQ(Of(**supervisor, "one").state, State::kReady);
  EXPECT_GT(Of(**supervisor, "one").pid, 0);
}

TEST_F(SupervisorTest, SaysWhyAProcessIsNotReady) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  ProcessSpec spec = Shell("deaf", "echo something odd; exec sleep 1000");
  spec.ready = [this]() -> Status {
    // Fails only once the line is in the log, so that the message can be checked.
    if (Content("deaf.log").empty()) return Fail(ErrorCode::kUnavailable, "too early");
    return Fail(ErrorCode::kUnavailable, "nobody answers");
  };
  const Status started = (*supervisor)->Start(spec, 700ms);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kTimeout);
  EXPECT_THAT(started.error().message(), HasSubstr("nobody answers"));
  EXPECT_THAT(started.error().message(), HasSubstr("something odd"));
}

TEST_F(SupervisorTest, RestartsAKilledProcess) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  ASSERT_TRUE((*supervisor)->Start(Shell("one", "exec sleep 1000"), 20s));
  for (uint64_t round = 1; round <= 3; ++round) {
    const int pid = Of(**supervisor, "one").pid;
    ASSERT_GT(pid, 0);
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    ASSERT_TRUE(Eventually([&] {
      const ProcessState now = Of(**supervisor, "one");
      return now.state == State::kReady && now.pid != pid && now.restarts == round;
    }));
  }
}

TEST_F(SupervisorTest, ReportsAProcessThatKeepsDyingAndKeepsTrying) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  ProcessSpec spec = Shell("broken", "echo bad key in config; exit 2");
  spec.ready = []() -> Status { return Fail(ErrorCode::kUnavailable, "away"); };
  const Status started = (*supervisor)->Start(spec, 20s);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(started.error().message(), HasSubstr("exited with 2"));
  EXPECT_THAT(started.error().message(), HasSubstr("bad key in config"));
  const uint64_t before = Of(**supervisor, "broken").restarts;
  EXPECT_TRUE(Eventually([&] { return Of(**supervisor, "broken").restarts > before + 1; }));
}

TEST_F(SupervisorTest, AMissingProgramIsAFailureNotACrash) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  const Status started =
      (*supervisor)
          ->Start({.name = "ghost",
                   .command = {Path("no-such-program")},
                   .log_path = Path("ghost.log"),
                   .ready = []() -> Status { return Fail(ErrorCode::kUnavailable, "away"); }},
                  20s);
  ASSERT_FALSE(started);
}

TEST_F(SupervisorTest, StopsInReverseOrder) {
  auto supervisor = Supervisor::Create(Fast());
  ASSERT_TRUE(supervisor);
  for (const char* name : {"first", "second", "third"}) {
    ProcessSpec spec = Shell(name, std::string("trap 'echo ") + name + " >> " + Path("order") +
                                       "; exit 0' TERM; touch " + Path(name) +
                                       "; while :; do sleep 1000 & wait $!; done");
    spec.ready = [this, name]() -> Status {
      if (std::filesystem::exists(Path(name))) return {};
      return Fail(ErrorCode::kUnavailable, "no trap yet");
    };
    ASSERT_TRUE((*supervisor)->Start(spec, 20s));
  }
  (*supervisor)->Stop();
  EXPECT_EQ(Content("order"), "third\nsecond\nfirst\n");
  for (const ProcessState& state : (*supervisor)->Snapshot()) {
    EXPECT_EQ(state.state, State::kStopped);
  }
  EXPECT_FALSE((*supervisor)->Start(Shell("late", "exec sleep 1000"), 1s));
}

TEST_F(SupervisorTest, KillsWhatIgnoresTheStopSignal) {
  auto options = Fast();
  options.stop_grace = 50ms;
  auto supervisor = Supervisor::Create(options);
  ASSERT_TRUE(supervisor);
  ASSERT_TRUE(
      (*supervisor)->Start(Shell("stubborn", "trap '' TERM; while :; do sleep 1; done"), 20s));
  const int pid = Of(**supervisor, "stubborn").pid;
  (*supervisor)->Stop();
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(SupervisorTest, TellsOfEachChange) {
  std::vector<std::string> seen;
  auto options = Fast();
  options.on_change = [&](const std::vector<ProcessState>& states) {
    if (!states.empty()) seen.push_back(StateName(states[0].state));
  };
  auto supervisor = Supervisor::Create(options);
  ASSERT_TRUE(supervisor);
  ASSERT_TRUE((*supervisor)->Start(Shell("one", "exec sleep 1000"), 20s));
  (*supervisor)->Stop();
  EXPECT_THAT(seen, ElementsAre("starting", "running", "stopped"));
}

TEST_F(SupervisorTest, KeepsALogBelowItsBound) {
  const std::string path = Path("big.log");
  std::ofstream(path) << std::string(1000, 'x');
  EXPECT_FALSE(RotateLog(path, 1000));
  EXPECT_TRUE(RotateLog(path, 999));
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
  EXPECT_EQ(std::filesystem::file_size(path + ".1"), 1000u);
  EXPECT_FALSE(RotateLog(Path("absent"), 10));
}

TEST_F(SupervisorTest, QuotesTheEndOfALog) {
  std::ofstream(Path("log")) << "a\nb\nc\n";
  EXPECT_EQ(LastLines(Path("log"), 2), "    b\n    c\n");
  EXPECT_EQ(LastLines(Path("absent"), 2), "    (no log)\n");
}

}  // namespace
}  // namespace edgeloop::supervisor
