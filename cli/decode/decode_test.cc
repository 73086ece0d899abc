#include "cli/decode/decode.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"

namespace edgeloop::decode {
namespace {

TEST(Decode, NamesTheFeaturesOfARecord) {
  v1::TelemetryRecord record;
  record.set_device("gw-01/motor-01");
  record.set_seq(7);
  record.set_kind(v1::FEATURES);
  record.set_score(0.25F);
  record.add_feature_names("ch0.rms");
  record.add_features(1.5F);
  const auto json = Decode(topics::kTelemetry, record.SerializeAsString());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["kind"], "features");
  EXPECT_EQ((*json)["features"]["ch0.rms"], 1.5);
  EXPECT_EQ((*json)["seq"], 7);
}

TEST(Decode, TellsWhatADeviceSays) {
  v1::TelemetryRecord record;
  record.set_kind(v1::EVENT);
  record.mutable_event()->set_type(v1::DeviceEvent::MODEL_REVERTED);
  record.mutable_event()->set_reason("alarms on every window");
  const auto json = Decode(topics::kTelemetry, record.SerializeAsString());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["event"]["type"], "model reverted");
  EXPECT_EQ((*json)["event"]["reason"], "alarms on every window");
}

TEST(Decode, EachTopicOfOursIsKnown) {
  for (const auto& stream : topics::kAll) {
    EXPECT_TRUE(Decode(stream.name, "")) << stream.name;
  }
  EXPECT_FALSE(Decode("other", ""));
}

TEST(Decode, RandomBytesAreAnErrorOrAMessageNeverACrash) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    for (const auto& stream : topics::kAll) {
      if (const auto json = Decode(stream.name, bytes)) {
        (void)json->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      }
    }
  }
}

}  // namespace
}  // namespace edgeloop::decode
