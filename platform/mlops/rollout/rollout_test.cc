#include "platform/mlops/rollout/rollout.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"

namespace edgeloop::mlops {
namespace {

const SignedModel kModel{"motor", 2, "sha256:" + std::string(64, 'b'), 100, {1, 2, 3}, "key"};
const std::string kOld = "sha256:" + std::string(64, 'a');
constexpr std::uint64_t kMs = 1'000'000;

// A fleet of three whose process is killed and restarted by Reopen().
class RolloutTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rolloutXXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    Reopen();
    for (const char* device : {"gw/a", "gw/b", "gw/c"}) Windows(device, kOld, 4, 0);
  }
  void TearDown() override {
    Close();
    std::filesystem::remove_all(dir_);
  }
  void Close() {
    rollouts_.reset();
    outbox_.reset();
    store_.reset();
    database_.reset();
  }
  void Reopen() {
    Close();
    database_ = std::move(Database::Open(dir_ + "/mlops.db").value());
    store_.emplace(DatasetStore::Create(database_.get(), {1000, 11, {"a"}}, 1000).value());
    outbox_.emplace(Outbox::Create(database_.get()).value());
    rollouts_.emplace(Rollouts::Create(database_.get(), &*store_, &*outbox_,
                                       {.canary_devices = 1,
                                        .observe_windows = 4,
                                        .max_alarm_jump = 0.25,
                                        .confirm_timeout_ms = 10'000,
                                        .resend_ms = 1'000})
                          .value());
  }
  template <typename F>
  auto In(F&& f) {
    Transaction transaction(*database_);
    auto result = f();
    const Status committed = transaction.Commit();
    EXPECT_TRUE(committed) << committed.error().ToString();
    return result;
  }
  v1::TelemetryRecord Next(const std::string& device) {
    v1::TelemetryRecord record;
    record.set_device(device);
    record.set_boot(1);
    record.set_seq(++seq_);
    record.set_sensed_at_ns((seq_ + 1000) * kMs);
    return record;
  }
  void Windows(const std::string& device, const std::string& digest, int count, int alarms) {
    In([&] {
      for (int i = 0; i < count; ++i) {
        auto record = Next(device);
        record.set_kind(v1::FEATURES);
        record.set_window_samples(11);
        record.set_sample_rate_hz(1000);
        record.add_feature_names("a");
        record.add_features(static_cast<float>(seq_));
        record.set_model_digest(digest);
        record.set_alarm(i < alarms);
        store_->AddTelemetry(record);
      }
      return 0;
    });
  }
  void Event(const std::string& device, v1::DeviceEvent::Type type, const std::string& command_id,
             const std::string& reason = "") {
    In([&] {
      auto record = Next(device);
      record.set_kind(v1::EVENT);
      record.mutable_event()->set_type(type);
      record.mutable_event()->set_model_digest(kModel.digest);
      record.mutable_event()->set_model_version(kModel.version);
      record.mutable_event()->set_command_id(command_id);
      record.mutable_event()->set_reason(reason);
      store_->AddTelemetry(record);
      rollouts_->OnTelemetry(record);
      return 0;
    });
  }
  std::string Advance(std::int64_t now_ms) {  // the new state, or empty
    const auto changed = In([&] { return rollouts_->Advance(now_ms); });
    return changed ? changed->state : "";
  }
  std::vector<v1::Command> Sent() {
    std::vector<v1::Command> commands;
    const Status drained = outbox_->Drain([&](const OutboxMessage& message) -> Status {
      EXPECT_EQ(message.topic, topics::kCommands);
      EXPECT_TRUE(commands.emplace_back().ParseFromString(message.value));
      EXPECT_EQ(message.key, commands.back().device());
      return {};
    });
    EXPECT_TRUE(drained);
    return commands;
  }
  std::int64_t Begin() {
    return In([&] { return rollouts_->Begin(kModel, "run-1", 0).value(); });
  }

  std::string dir_;
  std::uint64_t seq_ = 0;
  std::unique_ptr<Database> database_;
  std::optional<DatasetStore> store_;
  std::optional<Outbox> outbox_;
  std::optional<Rollouts> rollouts_;
};

TEST_F(RolloutTest, CanaryThenAllThroughAKillAtEveryStep) {
  const std::int64_t id = Begin();
  Reopen();
  EXPECT_EQ(Advance(0), "");
  Reopen();  // the command was recorded, but not sent yet
  auto commands = Sent();
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].device(), "gw/a");
  EXPECT_EQ(commands[0].update_model().digest(), kModel.digest);
  EXPECT_EQ(commands[0].update_model().signature(), std::string("\1\2\3"));
  const std::string command_id = commands[0].command_id();
  Event("gw/a", v1::DeviceEvent::MODEL_CONFIRMED, command_id);
  Reopen();
  EXPECT_EQ(Advance(100), "observe");
  Reopen();
  Windows("gw/a", kModel.digest, 3, 0);
  EXPECT_EQ(Advance(200), "");
  Windows("gw/a", kModel.digest, 1, 0);
  Reopen();
  EXPECT_EQ(Advance(300), "all");
  Reopen();
  EXPECT_EQ(Advance(400), "");
  commands = Sent();
  ASSERT_EQ(commands.size(), 2u);
  Event("gw/b", v1::DeviceEvent::MODEL_CONFIRMED, command_id);
  EXPECT_EQ(Advance(500), "");
  Reopen();
  Event("gw/c", v1::DeviceEvent::MODEL_CONFIRMED, command_id);
  EXPECT_EQ(Advance(600), "done");
  EXPECT_EQ(In([&] { return rollouts_->Get(id); })->Updated(), 3);
  Reopen();
  EXPECT_EQ(Advance(700), "");
  EXPECT_TRUE(Sent().empty());
}

TEST_F(RolloutTest, RepeatsTheSameCommandUntilAnswered) {
  Begin();
  Advance(0);
  const auto first = Sent();
  Advance(500);
  EXPECT_TRUE(Sent().empty());
  Advance(1'000);
  const auto second = Sent();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(first[0].command_id(), second[0].command_id());
}

TEST_F(RolloutTest, ARevertedCanaryStopsIt) {
  const std::int64_t id = Begin();
  Advance(0);
  Event("gw/a", v1::DeviceEvent::MODEL_REVERTED, Sent().at(0).command_id(), "alarms on 16 of 16");
  EXPECT_EQ(Advance(100), "failed");
  const auto view = In([&] { return rollouts_->Get(id); });
  EXPECT_EQ(view->reason, "gw/a reverted: alarms on 16 of 16");
  EXPECT_EQ(view->Updated(), 0);
  Advance(200);
  EXPECT_TRUE(Sent().empty());
}

TEST_F(RolloutTest, ARejectionAndAnAnswerToAnotherCommand) {
  Begin();
  Advance(0);
  Event("gw/a", v1::DeviceEvent::MODEL_REVERTED, "someone-else");
  EXPECT_EQ(Advance(100), "");
  Event("gw/a", v1::DeviceEvent::MODEL_REJECTED, Sent().at(0).command_id(), "bad signature");
  EXPECT_EQ(Advance(200), "failed");
}

TEST_F(RolloutTest, AnAlarmJumpOnTheCanaryStopsIt) {
  Begin();
  Advance(0);
  Event("gw/a", v1::DeviceEvent::MODEL_CONFIRMED, Sent().at(0).command_id());
  EXPECT_EQ(Advance(100), "observe");
  Windows("gw/a", kModel.digest, 4, 2);
  EXPECT_EQ(Advance(200), "failed");
}

TEST_F(RolloutTest, ASilentCanaryTimesOutASilentDeviceDoesNotHoldUpTheRest) {
  Begin();
  Advance(0);
  EXPECT_EQ(Advance(10'000), "failed");
  Begin();
  Advance(0);
  Sent();
  Event("gw/a", v1::DeviceEvent::MODEL_CONFIRMED, "");
  EXPECT_EQ(Advance(100), "observe");  // its model is reported, whoever asked for it
  Windows("gw/a", kModel.digest, 4, 0);
  EXPECT_EQ(Advance(200), "all");
  Advance(300);
  EXPECT_EQ(Advance(20'000), "done");
}

TEST_F(RolloutTest, OneAtATimeAndOnlyWithDevices) {
  Begin();
  EXPECT_FALSE(In([&] { return rollouts_->Begin(kModel, "", 0); }));
}

TEST_F(RolloutTest, ReconcileUpdatesStragglersOnceAndLeavesRefusersAlone) {
  In([&] { return rollouts_->Reconcile(kModel, 0), 0; });
  auto commands = Sent();
  ASSERT_EQ(commands.size(), 3u);
  In([&] { return rollouts_->Reconcile(kModel, 100), 0; });
  EXPECT_TRUE(Sent().empty());
  Event("gw/a", v1::DeviceEvent::MODEL_CONFIRMED, commands[0].command_id());
  Event("gw/b", v1::DeviceEvent::MODEL_REVERTED, commands[1].command_id());
  In([&] { return rollouts_->Reconcile(kModel, 2'000), 0; });
  const auto again = Sent();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].device(), "gw/c");
  EXPECT_EQ(again[0].command_id(), commands[2].command_id());
  // A device that went back to an old model gets a new command: it knows the old one's id.
  Windows("gw/a", kOld, 1, 0);
  In([&] { return rollouts_->Reconcile(kModel, 2'100), 0; });
  const auto third = Sent();
  ASSERT_EQ(third.size(), 1u);
  EXPECT_EQ(third[0].device(), "gw/a");
  EXPECT_NE(third[0].command_id(), commands[0].command_id());
}

TEST_F(RolloutTest, WhatCouldNotBeSentStaysInOrder) {
  In([&] {
    for (const char* key : {"1", "2", "3"}) outbox_->Add("t", key, "x", 1, key);
    return 0;
  });
  std::vector<std::string> keys;
  EXPECT_FALSE(outbox_->Drain([&](const OutboxMessage& message) -> Status {
    if (message.key == "2") return Fail(ErrorCode::kUnavailable, "away");
    keys.push_back(message.key);
    return {};
  }));
  Reopen();
  EXPECT_TRUE(outbox_->Drain([&](const OutboxMessage& message) -> Status {
    keys.push_back(message.key);
    return {};
  }));
  EXPECT_EQ(keys, (std::vector<std::string>{"1", "2", "3"}));
}

}  // namespace
}  // namespace edgeloop::mlops
