#include "platform/services/bridge/intake.h"

#include <gtest/gtest.h>

#include <random>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::bridge {
namespace {

using sparkplug::MessageType;

v1::TelemetryRecord Record(uint64_t seq) {
  v1::TelemetryRecord record;
  record.set_boot(1);
  record.set_seq(seq);
  record.set_kind(v1::FEATURES);
  record.set_sensed_at_ns(seq * 1'000'000'000);
  record.add_feature_names("ch0.rms");
  record.add_features(float(seq));
  return record;
}

class IntakeTest : public testing::Test {
 protected:
  static std::string Topic(MessageType type) {
    return sparkplug::FormatTopic(
        {"edgeloop", type, "gw-01", sparkplug::IsDeviceMessage(type) ? "motor-01" : ""});
  }
  void Receive(MessageType type, const std::string& payload) {
    intake_.Receive(Topic(type), payload, now_ms_);
  }
  void NodeBirth(uint64_t bd_seq = 0) {
    counter_.Reset();
    counter_.Next();
    Receive(MessageType::kNodeBirth, sparkplug::NodeBirth(bd_seq, 1));
  }
  void DeviceBirth() {
    Receive(MessageType::kDeviceBirth, encoder_.Birth(1, {}, counter_.Next(), 1));
  }
  std::string Data(uint64_t seq) {
    return encoder_.Data(Record(seq), {.previous_seq = seq - 1, .seq = counter_.Next()}).value();
  }
  void Send(uint64_t seq) { Receive(MessageType::kDeviceData, Data(seq)); }
  void Lose(uint64_t seq) { (void)Data(seq); }

  metrics::Registry registry_;
  BridgeMetrics metrics_{registry_};
  Ledger ledger_{Recovered{}};
  std::vector<uint64_t> produced_;
  std::vector<std::string> dead_;
  std::vector<std::string> published_;
  bool full_ = false;
  Intake intake_{"edgeloop",
                 ledger_,
                 metrics_,
                 {.produce = [this](const v1::TelemetryRecord& record) -> Status {
                    if (full_) return Fail(ErrorCode::kResourceExhausted, "full");
                    EXPECT_EQ(record.device(), "gw-01/motor-01");
                    produced_.push_back(record.seq());
                    return {};
                  },
                  .dead_letter = [this](std::string_view, std::string_view,
                                        std::string_view reason) { dead_.emplace_back(reason); },
                  .publish = [this](std::string_view topic,
                                    std::string_view) { published_.emplace_back(topic); }}};
  sparkplug::RecordEncoder encoder_ = *sparkplug::RecordEncoder::Create(1, {"ch0.rms"});
  sparkplug::SequenceCounter counter_;
  int64_t now_ms_ = 1'000'000;
};

TEST_F(IntakeTest, TakesRecordsAfterBirths) {
  Send(1);
  EXPECT_TRUE(produced_.empty()) << "nothing is known of the gateway yet";
  ASSERT_EQ(published_.size(), 1u);
  EXPECT_EQ(published_[0], "spBv1.0/edgeloop/NCMD/gw-01");
  NodeBirth();
  DeviceBirth();
  for (uint64_t seq = 1; seq <= 600; ++seq) Send(seq);
  EXPECT_EQ(produced_.size(), 600u);
  EXPECT_EQ(metrics_.payload_gaps.Value(), 0);
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(IntakeTest, WaitsForALostRecord) {
  NodeBirth();
  DeviceBirth();
  Send(1);
  Lose(2);
  Send(3);
  Send(4);
  EXPECT_EQ(produced_, (std::vector<uint64_t>{1}));
  EXPECT_EQ(published_.size(), 1u) << "one request is enough for a while";
  EXPECT_EQ(metrics_.ahead.Value(), 2);
  NodeBirth(1);
  DeviceBirth();
  for (uint64_t seq = 1; seq <= 4; ++seq) Send(seq);
  EXPECT_EQ(produced_, (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(metrics_.duplicates.Value(), 1);
  Lose(5);
  now_ms_ += kRebirthInterval_ms;
  Send(6);
  EXPECT_EQ(published_.size(), 2u);
}

TEST_F(IntakeTest, FullQueueKeepsTheOrder) {
  NodeBirth();
  DeviceBirth();
  Send(1);
  full_ = true;
  Send(2);
  full_ = false;
  Send(3);
  EXPECT_EQ(produced_, (std::vector<uint64_t>{1}));
  EXPECT_EQ(metrics_.pushed_back.Value(), 1);
  Send(2);
  Send(3);
  EXPECT_EQ(produced_, (std::vector<uint64_t>{1, 2, 3}));
}

TEST_F(IntakeTest, DeathsAndLostConnectionsEndBirths) {
  NodeBirth(7);
  DeviceBirth();
  Receive(MessageType::kNodeDeath, sparkplug::NodeDeath(6, 1));
  Send(1);
  EXPECT_EQ(produced_.size(), 1u) << "the death was that of an older connection";
  Receive(MessageType::kDeviceDeath, sparkplug::DeviceDeath(counter_.Next(), 1));
  Send(2);
  EXPECT_EQ(produced_.size(), 1u);
  DeviceBirth();
  Send(2);
  EXPECT_EQ(produced_.size(), 2u);
  Receive(MessageType::kNodeDeath, sparkplug::NodeDeath(7, 1));
  Send(3);
  EXPECT_EQ(produced_.size(), 2u);
  NodeBirth(8);
  DeviceBirth();
  intake_.Forget();
  Send(3);
  EXPECT_EQ(produced_.size(), 2u);
}

TEST_F(IntakeTest, DeadLettersAreBounded) {
  NodeBirth();
  DeviceBirth();
  for (int i = 0; i < 100; ++i) Receive(MessageType::kDeviceData, "\xff\xff");
  EXPECT_EQ(dead_.size(), 1u);
  EXPECT_EQ(metrics_.dead_letters.Value(), 100);
  now_ms_ += kRebirthInterval_ms;
  Receive(MessageType::kDeviceBirth, "\x01");
  EXPECT_EQ(dead_.size(), 2u);
  Send(1);
  EXPECT_EQ(produced_.size(), 1u) << "the device is none the worse";
}

TEST_F(IntakeTest, OtherGroupsAndTopicsAreIgnored) {
  intake_.Receive("spBv1.0/other/NBIRTH/gw-01", sparkplug::NodeBirth(0, 1), 1);
  intake_.Receive("home/light", "on", 1);
  intake_.Receive(Topic(MessageType::kNodeCommand), sparkplug::RebirthRequest(1), 1);
  EXPECT_TRUE(dead_.empty());
  EXPECT_TRUE(published_.empty());
}

TEST_F(IntakeTest, DevicesOfAGatewayAreBounded) {
  NodeBirth();
  for (size_t i = 0; i <= kMaxDevicesPerNode; ++i) {
    intake_.Receive("spBv1.0/edgeloop/DBIRTH/gw-01/m-" + std::to_string(i),
                    encoder_.Birth(1, {}, counter_.Next(), 1), now_ms_);
  }
  EXPECT_EQ(dead_.size(), 1u);
  EXPECT_EQ(ledger_.Counts().size(), kMaxDevicesPerNode);
}

}  // namespace
}  // namespace edgeloop::bridge
