#include "inference/processing/event_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/frame/frame.h"

namespace edgeloop::processing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMs = 1'000'000;
const std::string kDevice = "gw-01/motor-01";

class EventProcessorTest : public testing::Test {
 protected:
  EventProcessorTest() { Start({alerts::DefaultRule()}); }

  void Start(const std::vector<alerts::RuleOptions>& rules) {
    auto compiled = alerts::Rules::Create(rules);
    ASSERT_TRUE(compiled) << compiled.error().ToString();
    processor_ = std::make_unique<EventProcessor>(
        ProcessorOptions{}, std::move(*compiled),
        EventProcessor::Outputs{
            .inference = [this](const v1::Inference& i) { inferences_.push_back(i); },
            .alert = [this](const v1::Alert& a) { alerts_.push_back(a); }},
        [this] { return now_ns_; });
  }

  v1::TelemetryRecord Features(bool alarm, int features = 2) {
    v1::TelemetryRecord record;
    record.set_device(kDevice);
    record.set_boot(1);
    record.set_seq(++seq_);
    record.set_kind(v1::FEATURES);
    record.set_sensed_at_ns(now_ns_ - 20 * kMs);
    record.set_score(alarm ? 0.9f : 0.1f);
    record.set_alarm(alarm);
    for (int i = 0; i < features; ++i) {
      record.add_feature_names("feature" + std::to_string(i));
      record.add_features(1);
    }
    return record;
  }

  // Windows every 100 ms.
  void Play(int windows, bool alarm, bool live = true) {
    for (int i = 0; i < windows; ++i) {
      now_ns_ += 100 * kMs;
      const Status status = processor_->OnTelemetry(Features(alarm), live);
      ASSERT_TRUE(status) << status.error().ToString();
    }
  }

  Status Answer(double score) {
    auto request = processor_->NextRequest();
    EXPECT_NE(request, nullptr);
    v1::ModuleResponse response;
    response.set_id(request->id());
    response.mutable_inference()->set_score(score);
    response.mutable_inference()->set_explanation("because");
    return processor_->OnResponse(*request, response);
  }

  uint64_t now_ns_ = 1'700'000'000'000 * kMs;
  uint64_t seq_ = 0;
  std::vector<v1::Inference> inferences_;
  std::vector<v1::Alert> alerts_;
  std::unique_ptr<EventProcessor> processor_;
};

TEST_F(EventProcessorTest, AsksAtMostOnceAnIntervalAndOnlyWithNewData) {
  EXPECT_EQ(processor_->NextRequest(), nullptr);
  EXPECT_FALSE(processor_->MsUntilNextRequest());
  Play(3, false);
  EXPECT_EQ(processor_->MsUntilNextRequest(), 0u);
  auto request = processor_->NextRequest();
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->device(), kDevice);
  EXPECT_EQ(request->history_size(), 3);
  EXPECT_EQ(processor_->NextRequest(), nullptr);
  Play(1, false);
  EXPECT_EQ(processor_->NextRequest(), nullptr);
  EXPECT_EQ(processor_->MsUntilNextRequest(), 900u);
  now_ns_ += 900 * kMs;
  EXPECT_NE(processor_->NextRequest(), nullptr);
  now_ns_ += 5'000 * kMs;
  EXPECT_EQ(processor_->NextRequest(), nullptr);
}

TEST_F(EventProcessorTest, RaisesAnAlertWithItsAgeAndClearsIt) {
  v1::Context context;
  context.set_device(kDevice);
  context.set_machine("feed pump 3");
  context.set_criticality(0.8);
  ASSERT_TRUE(processor_->OnContext(context));
  Play(40, true);
  ASSERT_TRUE(Answer(0.9));
  ASSERT_EQ(inferences_.size(), 1u);
  EXPECT_EQ(inferences_[0].device(), kDevice);
  EXPECT_EQ(inferences_[0].sensed_at_ns(), now_ns_ - 20 * kMs);
  ASSERT_EQ(alerts_.size(), 1u);
  EXPECT_EQ(alerts_[0].rule(), "bearing-or-shaft-fault");
  EXPECT_EQ(alerts_[0].severity(), "critical");
  EXPECT_NEAR(alerts_[0].data_age_ms(), 20, 0.01);
  EXPECT_THAT(alerts_[0].text(), HasSubstr("feed pump 3 (gw-01/motor-01): 100 %"));
  EXPECT_THAT(alerts_[0].text(), HasSubstr("because"));
  for (int second = 0; second < 7; ++second) {
    Play(10, false);
    ASSERT_TRUE(Answer(0.1));
  }
  ASSERT_EQ(alerts_.size(), 2u);
  EXPECT_TRUE(alerts_[1].cleared());
  EXPECT_EQ(alerts_[1].alert_id(), alerts_[0].alert_id());
}

TEST_F(EventProcessorTest, AnUncriticalMachineRaisesNone) {
  v1::Context context;
  context.set_device(kDevice);
  context.set_criticality(0.1);
  ASSERT_TRUE(processor_->OnContext(context));
  Play(40, true);
  ASSERT_TRUE(Answer(0.9));
  EXPECT_TRUE(alerts_.empty());
}

TEST_F(EventProcessorTest, JudgesAtOnceWhenTheDeviceTripsAndEndsWithTheReset) {
  Start({{.name = "tripped", .when = "l1_trip", .severity = "critical", .clear_ms = 0}});
  auto alarm = Features(true, 0);
  alarm.set_kind(v1::ALARM);
  ASSERT_TRUE(processor_->OnTelemetry(alarm, true));
  ASSERT_EQ(alerts_.size(), 1u);
  auto reset = Features(false, 0);
  reset.set_kind(v1::EVENT);
  reset.mutable_event()->set_type(v1::DeviceEvent::CONTACTOR_RESET);
  ASSERT_TRUE(processor_->OnTelemetry(reset, true));
  Play(1, false);
  ASSERT_TRUE(Answer(0));
  ASSERT_EQ(alerts_.size(), 2u);
  EXPECT_TRUE(alerts_[1].cleared());
}

TEST_F(EventProcessorTest, WhatIsOlderThanOurStartIsRememberedOnly) {
  Start({{.name = "tripped", .when = "l1_trip"}});
  v1::Alert earlier;
  earlier.set_device(kDevice);
  earlier.set_rule("tripped");
  earlier.set_alert_id("tripped/gw-01/motor-01/1");
  processor_->OnEarlierAlert(earlier);
  Play(30, true, false);
  auto alarm = Features(true, 0);
  alarm.set_kind(v1::ALARM);
  ASSERT_TRUE(processor_->OnTelemetry(alarm, false));
  EXPECT_EQ(processor_->NextRequest(), nullptr);
  alarm.set_seq(++seq_);
  ASSERT_TRUE(processor_->OnTelemetry(alarm, true));
  EXPECT_TRUE(alerts_.empty());  // raised before the restart
  Play(1, true);
  auto request = processor_->NextRequest();
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->history_size(), 31);
}

TEST_F(EventProcessorTest, DuplicatesCountOnce) {
  const auto record = Features(true);
  ASSERT_TRUE(processor_->OnTelemetry(record, true));
  ASSERT_TRUE(processor_->OnTelemetry(record, true));
  EXPECT_EQ(processor_->NextRequest()->history_size(), 1);
}

TEST_F(EventProcessorTest, RefusesWhatIsNotSound) {
  auto record = Features(false);
  record.set_features(0, INFINITY);
  EXPECT_THAT(processor_->OnTelemetry(record, true).error().message(), HasSubstr("not finite"));
  record = Features(false);
  record.add_features(1);
  EXPECT_THAT(processor_->OnTelemetry(record, true).error().message(),
              HasSubstr("3 features with 2 names"));
  record = Features(false);
  record.set_device(std::string(200, 'x'));
  EXPECT_THAT(processor_->OnTelemetry(record, true).error().message(), HasSubstr("bad id"));
  v1::Context context;
  context.set_device(kDevice);
  context.set_criticality(NAN);
  EXPECT_FALSE(processor_->OnContext(context));

  Play(1, false);
  auto request = processor_->NextRequest();
  v1::ModuleResponse response;
  response.set_id(request->id() + 1);
  EXPECT_THAT(processor_->OnResponse(*request, response).error().message(), HasSubstr("answer 2"));
  response.set_id(request->id());
  EXPECT_FALSE(processor_->OnResponse(*request, response));
  response.mutable_inference()->set_score(1.5);
  EXPECT_FALSE(processor_->OnResponse(*request, response));
  response.set_error("no model");
  EXPECT_THAT(processor_->OnResponse(*request, response).error().message(), HasSubstr("no model"));
  EXPECT_TRUE(inferences_.empty());
}

TEST_F(EventProcessorTest, ARequestFitsItsFrameHoweverWide) {
  for (int i = 0; i < 812; ++i) {
    now_ns_ += 20 * kMs;
    ASSERT_TRUE(processor_->OnTelemetry(Features(false, kMaxFeatures), true));
  }
  auto request = processor_->NextRequest();
  ASSERT_NE(request, nullptr);
  EXPECT_LE(request->ByteSizeLong(), frame::kMaxFrameBytes);
  EXPECT_GT(request->history_size(), 100);
  EXPECT_EQ(request->history(0).feature_names_size(), kMaxFeatures);
  EXPECT_EQ(request->history(1).feature_names_size(), 0);
}

}  // namespace
}  // namespace edgeloop::processing
