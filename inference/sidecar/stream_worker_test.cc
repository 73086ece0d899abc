// Against librdkafka's mock cluster, which speaks the real protocol on a real port; the module's
// own inference answers.
#include "inference/sidecar/stream_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <chrono>

#include "contracts/events/cloud_event.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "inference/module/level2.h"

namespace edgeloop::sidecar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr milliseconds kSoon{10'000};
const std::string kDevice = "gw-01/motor-01";

class StreamWorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    char reason[256];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    ASSERT_NE(owner_, nullptr) << reason;
    cluster_ = rd_kafka_mock_cluster_new(owner_, 1);
    for (const topics::Stream& stream : topics::kAll) {
      rd_kafka_mock_topic_create(cluster_, std::string(stream.name).c_str(), stream.partitions, 1);
    }
    connection_.bootstrap = rd_kafka_mock_cluster_bootstraps(cluster_);
    connection_.client_id = "test";
    auto producer = kafka::Producer::Create({.connection = connection_});
    ASSERT_TRUE(producer) << producer.error().ToString();
    producer_ = std::move(*producer);
  }
  void TearDown() override {
    producer_.reset();
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }

  void Send(std::string_view topic, const std::string& value) {
    auto position = producer_->ProduceSync({.topic = topic, .key = kDevice, .value = value}, kSoon);
    ASSERT_TRUE(position) << position.error().ToString();
  }

  // Windows every 100 ms, the last one sensed `age` ago.
  void SendWindows(int count, bool alarm, seconds age = seconds(0)) {
    const auto now = std::chrono::system_clock::now().time_since_epoch() - age;
    for (int i = 0; i < count; ++i) {
      v1::TelemetryRecord record;
      record.set_device(kDevice);
      record.set_boot(1);
      record.set_seq(++seq_);
      record.set_kind(v1::FEATURES);
      record.set_sensed_at_ns(static_cast<uint64_t>(
          std::chrono::nanoseconds(now - milliseconds(100) * (count - 1 - i)).count()));
      record.set_score(alarm ? 0.95f : 0.02f);
      record.set_alarm(alarm);
      record.add_feature_names("ch0.rms");
      record.add_features(alarm ? 5.0f : 1.0f + 0.01f * static_cast<float>(i % 7));
      Send(topics::kTelemetry, record.SerializeAsString());
    }
  }

  std::unique_ptr<StreamWorker> NewWorker(const std::vector<alerts::RuleOptions>& rules) {
    auto compiled = alerts::Rules::Create(rules);
    EXPECT_TRUE(compiled);
    auto worker = StreamWorker::Create({.connection = connection_, .processor = {}},
                                       std::move(*compiled), metrics_, [this] { ++work_; });
    EXPECT_TRUE(worker) << worker.error().ToString();
    const Status begun = (*worker)->Begin(interrupt_);
    EXPECT_TRUE(begun) << begun.error().ToString();
    return std::move(*worker);
  }

  template <typename Condition>
  static bool StepUntil(StreamWorker& worker, Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline || !worker.Step(milliseconds(100))) {
        return false;
      }
    }
    return true;
  }

  void InferOnce(StreamWorker& worker) {
    auto request = worker.processor().NextRequest();
    ASSERT_NE(request, nullptr);
    history_ = request->history_size();
    v1::ModuleResponse response;
    response.set_id(request->id());
    auto inference = module::Infer(*request);
    ASSERT_TRUE(inference) << inference.error().ToString();
    *response.mutable_inference() = *inference;
    const Status status = worker.processor().OnResponse(*request, response);
    ASSERT_TRUE(status) << status.error().ToString();
    ASSERT_TRUE(worker.Flush(kSoon));
  }

  std::vector<kafka::Record> ReadAll(std::string_view topic, size_t count) {
    auto consumer = kafka::Consumer::Create({.connection = connection_, .fetch_wait_ms = 20});
    EXPECT_TRUE(consumer);
    EXPECT_TRUE((*consumer)->AssignAll({std::string(topic)}, kafka::Consumer::kBeginning));
    std::vector<kafka::Record> records;
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (records.size() < count && std::chrono::steady_clock::now() < deadline) {
      auto record = (*consumer)->Poll(milliseconds(100));
      if (record && *record) records.push_back(std::move(**record));
    }
    return records;
  }

  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  kafka::ConnectionOptions connection_;
  std::unique_ptr<kafka::Producer> producer_;
  metrics::Registry metrics_;
  frame::Interrupt interrupt_;
  uint64_t seq_ = 0;
  int work_ = 0;
  int history_ = 0;
};

TEST_F(StreamWorkerTest, FromTelemetryToInferenceAndAlert) {
  v1::Context context;
  context.set_device(kDevice);
  context.set_machine("mixer");
  context.set_criticality(0.9);
  Send(topics::kContext, context.SerializeAsString());
  SendWindows(30, false, seconds(10));  // before the sidecar started
  auto worker = NewWorker({alerts::DefaultRule()});
  SendWindows(40, true);
  ASSERT_TRUE(StepUntil(*worker, [&] { return work_ == 40; }));
  InferOnce(*worker);
  EXPECT_GT(history_, 40);  // what was there before is remembered

  const auto inferences = ReadAll(topics::kInferences, 1);
  ASSERT_EQ(inferences.size(), 1u);
  EXPECT_EQ(inferences[0].key, kDevice);
  auto event = events::FromHeaders(inferences[0].headers);
  ASSERT_TRUE(event) << event.error().ToString();
  EXPECT_EQ(event->type, "edgeloop.v1.Inference");
  v1::Inference inference;
  ASSERT_TRUE(inference.ParseFromString(inferences[0].value));
  EXPECT_GT(inference.score(), 0.8);
  EXPECT_THAT(inference.explanation(), HasSubstr("windows of the last 5 s alarm"));

  const auto alerts = ReadAll(topics::kAlerts, 1);
  ASSERT_EQ(alerts.size(), 1u);
  v1::Alert alert;
  ASSERT_TRUE(alert.ParseFromString(alerts[0].value));
  EXPECT_EQ(alert.rule(), "bearing-or-shaft-fault");
  EXPECT_GT(alert.data_age_ms(), 0);
  EXPECT_LT(alert.data_age_ms(), 60'000);
  EXPECT_THAT(alert.text(), HasSubstr("mixer"));
  EXPECT_THAT(metrics_.Text(), HasSubstr("edgeloop_data_age_ms_count{event=\"alert\"} 1"));
}

TEST_F(StreamWorkerTest, ARestartRaisesNoAlertTwice) {
  v1::Alert raised;
  raised.set_alert_id("bearing-or-shaft-fault/gw-01/motor-01/1");
  raised.set_rule("bearing-or-shaft-fault");
  raised.set_device(kDevice);
  Send(topics::kAlerts, raised.SerializeAsString());
  auto worker = NewWorker({alerts::DefaultRule()});
  SendWindows(40, true);
  ASSERT_TRUE(StepUntil(*worker, [&] { return work_ == 40; }));
  InferOnce(*worker);
  EXPECT_THAT(metrics_.Text(), HasSubstr("edgeloop_alerts_total{transition=\"raised\"} 0"));
}

TEST_F(StreamWorkerTest, WhatDoesNotDecodeGoesToTheDeadLetters) {
  auto worker = NewWorker({});
  Send(topics::kTelemetry, "\xff\xff\xff");
  SendWindows(1, false);
  ASSERT_TRUE(StepUntil(*worker, [&] { return work_ == 1; }));
  ASSERT_TRUE(worker->Flush(kSoon));
  const auto refused = ReadAll(topics::kTelemetryDlq, 1);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].value, "\xff\xff\xff");
  EXPECT_THAT(refused[0].headers, testing::Contains(testing::Pair(
                                      "reason", HasSubstr("no edgeloop.v1.TelemetryRecord"))));
}

}  // namespace
}  // namespace edgeloop::sidecar
