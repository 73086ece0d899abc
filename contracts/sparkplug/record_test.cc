#include "contracts/sparkplug/record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"

namespace edgeloop::sparkplug {
namespace {

const std::vector<std::string> kNames = {"ch0.rms", "ch0.kurtosis", "ch1.band3", "ch1.env.peak_hz"};

v1::TelemetryRecord Record(v1::RecordKind kind, uint64_t seq) {
  v1::TelemetryRecord record;
  record.set_boot(3);
  record.set_seq(seq);
  record.set_kind(kind);
  record.set_sensed_at_ns(1'700'000'000'123'456'789);
  record.set_window_index(seq * 2);
  record.set_window_samples(4);
  record.set_sample_rate_hz(12'000);
  record.set_score(0.25f);
  record.set_alarm(seq % 2 == 0);
  record.set_model_digest("sha256:" + std::string(64, 'b'));
  record.set_model_version(7);
  return record;
}

v1::TelemetryRecord FeatureRecord(uint64_t seq) {
  v1::TelemetryRecord record = Record(v1::FEATURES, seq);
  const float values[] = {1.5f, std::numeric_limits<float>::infinity(), -0.0f,
                          std::numeric_limits<float>::quiet_NaN()};
  for (size_t i = 0; i < kNames.size(); ++i) {
    record.add_feature_names(kNames[i]);
    record.add_features(values[i]);
  }
  record.set_score(std::numeric_limits<float>::quiet_NaN());
  return record;
}

Proto Parsed(const std::string& bytes) {
  Proto payload;
  const Status ok = ParsePayload(bytes, &payload);
  EXPECT_TRUE(ok.has_value()) << ok.error().ToString();
  return payload;
}

class SparkplugRecordTest : public testing::Test {
 protected:
  void SetUp() override {
    auto decoder = RecordDecoder::FromBirth(Parsed(encoder_.Birth(3, state_, 9, 1'000)));
    ASSERT_TRUE(decoder.has_value()) << decoder.error().ToString();
    decoder_.emplace(std::move(*decoder));
  }

  RecordEncoder encoder_ = RecordEncoder::Create(1 + kAliasesPerDevice, kNames).value();
  DeviceState state_{"trial", 1, 2, 3, 4, 5, 6};
  std::optional<RecordDecoder> decoder_;
};

TEST_F(SparkplugRecordTest, BirthTellsTheStateOfTheDevice) {
  EXPECT_EQ(decoder_->boot(), 3u);
  EXPECT_EQ(decoder_->state(), state_);
}

TEST_F(SparkplugRecordTest, EveryKindRoundTripsToTheBit) {
  std::vector<v1::TelemetryRecord> records = {FeatureRecord(1)};
  auto& raw = records.emplace_back(Record(v1::RAW, 2));
  raw.mutable_raw()->set_channels(2);
  raw.mutable_raw()->set_samples_f32le(std::string(4 * 2 * 4, '\xff'));
  auto& alarm = records.emplace_back(Record(v1::ALARM, 3));
  alarm.set_trip(true);
  alarm.set_actuator_open(true);
  alarm.set_actuation_latency_us(812);
  auto& event = records.emplace_back(Record(v1::EVENT, 4));
  event.mutable_event()->set_type(v1::DeviceEvent::MODEL_REVERTED);
  event.mutable_event()->set_reason("alarm fraction 0.9 above 0.2");
  auto& loss = records.emplace_back(Record(v1::LOSS, UINT64_MAX));
  loss.mutable_loss()->set_first_seq(5);
  loss.mutable_loss()->set_last_seq(9);
  loss.mutable_loss()->set_raw(3);

  for (const v1::TelemetryRecord& record : records) {
    ASSERT_TRUE(encoder_.Fits(record));
    auto bytes = encoder_.Data(
        record, {.previous_seq = record.seq() - 1, .historical = true, .seq = 17, .now_ms = 5});
    ASSERT_TRUE(bytes.has_value()) << bytes.error().ToString();
    v1::TelemetryRecord out;
    auto data = decoder_->Decode(Parsed(*bytes), &out);
    ASSERT_TRUE(data.has_value()) << data.error().ToString();
    EXPECT_EQ(out.SerializeAsString(), record.SerializeAsString()) << record.kind();
    EXPECT_EQ(data->previous_seq, record.seq() - 1);
    EXPECT_TRUE(data->historical);
    EXPECT_FALSE(data->state.has_value());
  }
}

TEST_F(SparkplugRecordTest, DataMayCarryTheState) {
  const DeviceState now{"confirmed", 10, 20, 30, 40, 50, 60};
  auto bytes = encoder_.Data(FeatureRecord(2), {.state = &now});
  v1::TelemetryRecord out;
  auto data = decoder_->Decode(Parsed(bytes.value()), &out);
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(data->state, now);
  EXPECT_FALSE(data->historical);
}

TEST_F(SparkplugRecordTest, DataNamesNothing) {
  const Proto payload = Parsed(encoder_.Data(FeatureRecord(2), {}).value());
  for (const auto& metric : payload.metrics()) {
    EXPECT_FALSE(metric.has_name());
    EXPECT_TRUE(metric.has_timestamp());
    EXPECT_GT(metric.alias(), kAliasesPerDevice);
    EXPECT_LE(metric.alias(), 2 * kAliasesPerDevice);
  }
}

TEST_F(SparkplugRecordTest, OtherFeaturesNeedAnotherBirth) {
  v1::TelemetryRecord record = FeatureRecord(2);
  record.set_feature_names(0, "ch0.other");
  EXPECT_FALSE(encoder_.Fits(record));
  EXPECT_FALSE(encoder_.Data(record, {}).has_value());
  // Data of another device's aliases: the receiver has to ask for births.
  auto other = RecordEncoder::Create(1, kNames).value();
  v1::TelemetryRecord out;
  auto data = decoder_->Decode(Parsed(other.Data(FeatureRecord(2), {}).value()), &out);
  ASSERT_FALSE(data.has_value());
  EXPECT_EQ(data.error().code(), ErrorCode::kNotFound);
}

TEST_F(SparkplugRecordTest, EncoderRefusesWhatNoReceiverTakes) {
  EXPECT_FALSE(encoder_.Data(FeatureRecord(0), {}).has_value());
  EXPECT_FALSE(encoder_.Data(FeatureRecord(5), {.previous_seq = 5}).has_value());
  EXPECT_FALSE(encoder_.Data(Record(v1::RAW, 5), {}).has_value()) << "no samples";
  EXPECT_FALSE(encoder_.Data(Record(v1::RECORD_KIND_UNSPECIFIED, 5), {}).has_value());
  v1::TelemetryRecord bad = Record(v1::ALARM, 5);
  bad.set_model_digest("md5:0");
  EXPECT_FALSE(encoder_.Data(bad, {}).has_value());
  EXPECT_FALSE(RecordEncoder::Create(1, {"a", "a"}).has_value());
  EXPECT_FALSE(RecordEncoder::Create(1, {""}).has_value());
  EXPECT_FALSE(RecordEncoder::Create(1, {std::string(kMaxNameBytes, 'n')}).has_value());
  EXPECT_FALSE(RecordEncoder::Create(1, std::vector<std::string>(kMaxFeatures + 1)).has_value());
}

// Each change of a good message that makes it bad, by name.
TEST_F(SparkplugRecordTest, DecoderRefusesHostileData) {
  const Proto good = Parsed(encoder_.Data(FeatureRecord(8), {.previous_seq = 7}).value());
  using Change = void (*)(Proto&);
  const std::pair<const char*, Change> changes[] = {
      {"wrong type", [](Proto& p) { p.mutable_metrics(0)->set_string_value("1"); }},
      {"boot 0", [](Proto& p) { p.mutable_metrics(0)->set_long_value(0); }},
      {"unknown kind", [](Proto& p) { p.mutable_metrics(3)->set_int_value(77); }},
      {"kind without its detail", [](Proto& p) { p.mutable_metrics(3)->set_int_value(v1::RAW); }},
      {"seq missing", [](Proto& p) { p.mutable_metrics()->DeleteSubrange(1, 1); }},
      {"seq null", [](Proto& p) { p.mutable_metrics(1)->set_is_null(true); }},
      {"previous not before", [](Proto& p) { p.mutable_metrics(2)->set_long_value(8); }},
      {"twice", [](Proto& p) { *p.add_metrics() = p.metrics(4); }},
      {"feature twice", [](Proto& p) { *p.add_metrics() = p.metrics(p.metrics_size() - 1); }},
      {"feature missing", [](Proto& p) { p.mutable_metrics()->RemoveLast(); }},
      {"no alias", [](Proto& p) { p.mutable_metrics(5)->clear_alias(); }},
      {"too large for its type",
       [](Proto& p) { p.mutable_metrics(6)->set_long_value(uint64_t{1} << 32); }},
      {"digest", [](Proto& p) { p.mutable_metrics(11)->set_string_value("x"); }},
  };
  v1::TelemetryRecord out;
  ASSERT_TRUE(decoder_->Decode(good, &out).has_value());
  for (const auto& [name, change] : changes) {
    Proto bad = good;
    change(bad);
    EXPECT_FALSE(decoder_->Decode(bad, &out).has_value()) << name;
  }
}

TEST_F(SparkplugRecordTest, DecoderRefusesHostileBirths) {
  const Proto good = Parsed(encoder_.Birth(3, state_, 0, 1));
  using Change = void (*)(Proto&);
  const std::pair<const char*, Change> changes[] = {
      {"alias twice", [](Proto& p) { p.mutable_metrics(1)->set_alias(p.metrics(0).alias()); }},
      {"no alias", [](Proto& p) { p.mutable_metrics(1)->clear_alias(); }},
      {"wrong type", [](Proto& p) { p.mutable_metrics(1)->set_datatype(12); }},
      {"metric twice", [](Proto& p) { p.mutable_metrics(1)->set_name("record/boot"); }},
      {"metric missing", [](Proto& p) { p.mutable_metrics()->DeleteSubrange(1, 1); }},
      {"feature without a name",
       [](Proto& p) { p.mutable_metrics(p.metrics_size() - 1)->set_name("feature/"); }},
      {"feature twice",
       [](Proto& p) { p.mutable_metrics(p.metrics_size() - 1)->set_name("feature/ch0.rms"); }},
  };
  ASSERT_TRUE(RecordDecoder::FromBirth(good).has_value());
  for (const auto& [name, change] : changes) {
    Proto bad = good;
    change(bad);
    EXPECT_FALSE(RecordDecoder::FromBirth(bad).has_value()) << name;
  }
  Proto more = good;
  more.add_metrics()->set_name("vendor/colour");
  more.mutable_metrics(more.metrics_size() - 1)->set_alias(999'999);
  EXPECT_TRUE(RecordDecoder::FromBirth(more).has_value());
}

}  // namespace
}  // namespace edgeloop::sparkplug
