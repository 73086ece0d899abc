#include "inference/sidecar/stream_worker.h"

#include <algorithm>
#include <vector>

#include "contracts/events/cloud_event.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "runtime/log/log.h"

namespace edgeloop::sidecar {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kQueryTimeout{5'000};
constexpr milliseconds kReadEarlierIdle{3'000};  // a compacted end may hold no record any more
constexpr std::string_view kSource = "/services/sidecar";
// From one record over the network to a long outage, in ms.
const std::vector<double> kAgeBoundsMs = {5,    10,   25,   50,    100,   250,   500,
                                          1000, 2500, 5000, 10000, 60000, 600000};

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

int PartitionsOf(std::string_view topic) {
  for (const topics::Stream& stream : topics::kAll) {
    if (stream.name == topic) return stream.partitions;
  }
  return 1;
}

double AgeMs(uint64_t sensed_at_ns) {
  return std::max(0.0, (static_cast<double>(NowNs()) - static_cast<double>(sensed_at_ns)) / 1e6);
}

}  // namespace

Expected<std::unique_ptr<StreamWorker>> StreamWorker::Create(Options options, alerts::Rules rules,
                                                             metrics::Registry& metrics,
                                                             std::function<void()> on_work) {
  auto producer = kafka::Producer::Create(
      {.connection = options.connection, .queue_messages = 2'000, .queue_kib = 2'048});
  if (!producer) return Fail(producer.error());
  // No group: the state lives in memory and is read anew at each start.
  auto consumer = kafka::Consumer::Create({.connection = options.connection, .group = ""});
  if (!consumer) return Fail(consumer.error());
  return std::unique_ptr<StreamWorker>(new StreamWorker(std::move(*producer), std::move(*consumer),
                                                        std::move(options), std::move(rules),
                                                        metrics, std::move(on_work)));
}

StreamWorker::StreamWorker(std::unique_ptr<kafka::Producer> producer,
                           std::unique_ptr<kafka::Consumer> consumer, Options options,
                           alerts::Rules rules, metrics::Registry& metrics,
                           std::function<void()> on_work)
    : producer_(std::move(producer)),
      consumer_(std::move(consumer)),
      on_work_(std::move(on_work)),
      records_(metrics.AddCounter("edgeloop_records_consumed_total",
                                  "Telemetry records that arrived live")),
      refused_(metrics.AddCounter("edgeloop_records_refused_total",
                                  "Messages that did not decode or were not sound")),
      inferences_(metrics.AddCounter("edgeloop_inferences_total", "Level-2 inferences published")),
      raised_(metrics.AddCounter("edgeloop_alerts_total", "Alerts published",
                                 {{"transition", "raised"}})),
      cleared_(metrics.AddCounter("edgeloop_alerts_total", "Alerts published",
                                  {{"transition", "cleared"}})),
      lost_(metrics.AddCounter("edgeloop_publish_failures_total",
                               "Messages that the stream did not take")),
      devices_(metrics.AddGauge("edgeloop_devices", "Devices remembered")),
      telemetry_age_(metrics.AddHistogram("edgeloop_data_age_ms", "Now minus time of sensing",
                                          kAgeBoundsMs, {{"event", "telemetry"}})),
      inference_age_(metrics.AddHistogram("edgeloop_data_age_ms", "Now minus time of sensing",
                                          kAgeBoundsMs, {{"event", "inference"}})),
      alert_age_(metrics.AddHistogram("edgeloop_data_age_ms", "Now minus time of sensing",
                                      kAgeBoundsMs, {{"event", "alert"}})),
      processor_(options.processor, std::move(rules),
                 {.inference = [this](const v1::Inference& inference) { Publish(inference); },
                  .alert = [this](const v1::Alert& alert) { Publish(alert); }},
                 NowNs) {}

Status StreamWorker::ReadEarlier(const frame::Interrupt& interrupt) {
  std::vector<kafka::Consumer::Assignment> assignments;
  std::map<std::string, int64_t, std::less<>> ends;
  for (std::string_view topic : {topics::kContext, topics::kAlerts}) {
    auto marks = consumer_->QueryWatermarks(topic, 0, kQueryTimeout);
    if (!marks) return Fail(marks.error());
    int64_t from = marks->low;
    if (topic == topics::kAlerts) from = std::max(from, marks->high - kSeedAlerts);
    if (from >= marks->high) continue;
    assignments.push_back({std::string(topic), 0, from});
    ends[std::string(topic)] = marks->high;
  }
  if (assignments.empty()) return {};
  if (Status status = consumer_->Assign(assignments); !status) return status;
  auto last_record = std::chrono::steady_clock::now();
  while (!ends.empty() && std::chrono::steady_clock::now() - last_record < kReadEarlierIdle) {
    if (interrupt.IsSet()) return Fail(ErrorCode::kCancelled, "stopping");
    auto record = consumer_->Poll(milliseconds(250));
    if (!record) return Fail(record.error());
    if (!*record) continue;
    last_record = std::chrono::steady_clock::now();
    Handle(**record);
    const auto end = ends.find((*record)->topic);
    if (end != ends.end() && (*record)->offset + 1 >= end->second) ends.erase(end);
  }
  return {};
}

Status StreamWorker::Begin(const frame::Interrupt& interrupt) {
  auto context = consumer_->QueryWatermarks(topics::kContext, 0, kQueryTimeout);
  if (!context) return Fail(context.error());
  if (Status status = ReadEarlier(interrupt); !status) return status;
  std::vector<kafka::Consumer::Assignment> assignments = {
      {std::string(topics::kContext), 0, context->high}};
  live_from_.clear();
  for (int32_t partition = 0; partition < PartitionsOf(topics::kTelemetry); ++partition) {
    auto marks = consumer_->QueryWatermarks(topics::kTelemetry, partition, kQueryTimeout);
    if (!marks) return Fail(marks.error());
    const int64_t from = std::max(marks->low, marks->high - kSeedRecords);
    assignments.push_back({std::string(topics::kTelemetry), partition, from});
    live_from_[partition] = marks->high;
  }
  return consumer_->Assign(assignments);
}

Status StreamWorker::Step(milliseconds wait) {
  auto record = consumer_->Poll(wait);
  if (!record) return Fail(record.error());
  if (*record) Handle(**record);
  return {};
}

void StreamWorker::Handle(const kafka::Record& record) {
  if (record.tombstone) return;
  Status status;
  bool live = true;
  if (record.topic == topics::kTelemetry) {
    const auto from = live_from_.find(record.partition);
    live = from == live_from_.end() || record.offset >= from->second;
    status = HandleTelemetry(record, live);
  } else if (record.topic == topics::kContext) {
    v1::Context context;
    status = context.ParseFromString(record.value)
                 ? processor_.OnContext(context)
                 : Fail(ErrorCode::kCorrupt, "the value is no edgeloop.v1.Context");
  } else {
    v1::Alert alert;
    if (alert.ParseFromString(record.value)) processor_.OnEarlierAlert(alert);
  }
  if (status || !live) return;
  refused_.Add();
  log::Warning("message refused", {{"topic", record.topic},
                                   {"partition", record.partition},
                                   {"offset", record.offset},
                                   {"reason", status.error().message()}});
  if (record.topic != topics::kTelemetry) return;
  events::Headers headers = record.headers;
  headers.emplace_back("reason", status.error().message());
  if (!producer_->Produce({.topic = topics::kTelemetryDlq,
                           .key = record.key,
                           .value = record.value,
                           .headers = std::move(headers)})) {
    lost_.Add();
  }
}

Status StreamWorker::HandleTelemetry(const kafka::Record& record, bool live) {
  v1::TelemetryRecord telemetry;
  if (!telemetry.ParseFromString(record.value)) {
    return Fail(ErrorCode::kCorrupt, "the value is no edgeloop.v1.TelemetryRecord");
  }
  if (Status status = processor_.OnTelemetry(telemetry, live); !status) return status;
  devices_.Set(static_cast<double>(processor_.device_count()));
  if (!live) return {};
  records_.Add();
  telemetry_age_.Observe(AgeMs(telemetry.sensed_at_ns()));
  on_work_();
  return {};
}

void StreamWorker::Publish(const v1::Inference& inference) {
  inferences_.Add();
  inference_age_.Observe(AgeMs(inference.sensed_at_ns()));
  Produce(topics::kInferences, inference.device(),
          inference.device() + "/" + std::to_string(inference.at_ns()), "edgeloop.v1.Inference",
          inference.sensed_at_ns(), inference.SerializeAsString());
}

void StreamWorker::Publish(const v1::Alert& alert) {
  (alert.cleared() ? cleared_ : raised_).Add();
  alert_age_.Observe(AgeMs(alert.sensed_at_ns()));
  log::Info(alert.cleared() ? "alert cleared" : "alert raised",
            {{"alert", alert.alert_id()},
             {"severity", alert.severity()},
             {"data_age_ms", alert.data_age_ms()},
             {"text", alert.text()}});
  Produce(topics::kAlerts, alert.device(),
          alert.alert_id() + (alert.cleared() ? "/cleared" : "/raised"), "edgeloop.v1.Alert",
          alert.sensed_at_ns(), alert.SerializeAsString());
}

void StreamWorker::Produce(std::string_view topic, const std::string& key, const std::string& id,
                           std::string_view type, uint64_t time_ns, const std::string& value) {
  const Status status =
      producer_->Produce({.topic = topic,
                          .key = key,
                          .value = value,
                          .headers = events::ToHeaders({.id = id,
                                                        .source = std::string(kSource),
                                                        .type = std::string(type),
                                                        .time_ns = time_ns})},
                         [lost = lost_](Expected<kafka::Position> delivered) mutable {
                           if (!delivered) lost.Add();
                         });
  if (status) return;
  lost_.Add();
  log::Warning("not published", {{"topic", topic}, {"reason", status.error().message()}});
}

}  // namespace edgeloop::sidecar
