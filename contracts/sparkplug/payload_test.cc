#include "contracts/sparkplug/payload.h"

#include <gtest/gtest.h>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"

namespace edgeloop::sparkplug {
namespace {

Proto Parsed(const std::string& bytes) {
  Proto payload;
  const Status ok = ParsePayload(bytes, &payload);
  EXPECT_TRUE(ok.has_value()) << ok.error().ToString();
  return payload;
}

TEST(SparkplugPayloadTest, NodeBirthAndDeathCarryTheSameNumber) {
  const Proto birth = Parsed(NodeBirth(41, 1'000));
  EXPECT_EQ(SequenceOf(birth).value(), 0);
  EXPECT_EQ(BirthDeathSequenceOf(birth).value(), 41u);
  const Proto death = Parsed(NodeDeath(41, 1'000));
  EXPECT_FALSE(SequenceOf(death).has_value());
  EXPECT_EQ(BirthDeathSequenceOf(death).value(), 41u);
  EXPECT_EQ(SequenceOf(Parsed(DeviceDeath(255, 1))).value(), 255);
  EXPECT_FALSE(BirthDeathSequenceOf(Parsed(DeviceDeath(255, 1))).has_value());
}

TEST(SparkplugPayloadTest, RebirthRequestIsTold) {
  EXPECT_TRUE(IsRebirthRequest(RebirthRequest(5)).value());
  EXPECT_FALSE(IsRebirthRequest(NodeBirth(1, 5)).value());
  EXPECT_FALSE(IsRebirthRequest("\xff\xff").has_value());
}

TEST(SparkplugPayloadTest, InstructionsRoundTrip) {
  auto ack = ReadDeviceInstruction(Acknowledgement({UINT64_MAX, 12}, 5));
  ASSERT_TRUE(ack.has_value()) << ack.error().ToString();
  EXPECT_EQ(ack->acknowledged, (RecordPosition{UINT64_MAX, 12}));
  EXPECT_TRUE(ack->command.empty());

  v1::Command command;
  command.set_command_id("c-1");
  command.mutable_reset_contactor();
  auto read = ReadDeviceInstruction(DeviceCommand(command, 5));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_FALSE(read->acknowledged.has_value());
  EXPECT_EQ(read->command, command.SerializeAsString());

  EXPECT_FALSE(ReadDeviceInstruction(RebirthRequest(5)).has_value());
  EXPECT_FALSE(ReadDeviceInstruction("").has_value());
}

TEST(SparkplugPayloadTest, SequenceWrapsAndShowsALoss) {
  SequenceCounter counter;
  SequenceTracker tracker;
  tracker.Born(counter.Next());
  for (int i = 0; i < 600; ++i) EXPECT_TRUE(tracker.Follows(counter.Next())) << i;
  counter.Next();
  EXPECT_FALSE(tracker.Follows(counter.Next()));
  EXPECT_TRUE(tracker.Follows(counter.Next()));
  counter.Reset();
  EXPECT_EQ(counter.Next(), 0);
}

TEST(SparkplugPayloadTest, RefusesBeforeAllocating) {
  Proto payload;
  std::string many;
  for (size_t i = 0; i <= kMaxMetrics; ++i) many += std::string("\x12\x00", 2);
  EXPECT_EQ(ParsePayload(many, &payload).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(payload.metrics_size(), 0);
  many.resize(2 * kMaxMetrics);
  EXPECT_TRUE(ParsePayload(many, &payload).has_value());
  EXPECT_FALSE(ParsePayload(std::string(kMaxPayloadBytes + 1, '\0'), &payload).has_value());

  Proto named;
  named.add_metrics()->set_name(std::string(kMaxNameBytes + 1, 'n'));
  EXPECT_FALSE(ParsePayload(named.SerializeAsString(), &payload).has_value());
  Proto nested;
  nested.add_metrics()->mutable_dataset_value()->add_rows();
  EXPECT_FALSE(ParsePayload(nested.SerializeAsString(), &payload).has_value());
  EXPECT_FALSE(ParsePayload("\x12\x7f", &payload).has_value());
}

}  // namespace
}  // namespace edgeloop::sparkplug
