// Between the stream and event processing: consumes telemetry, context and alerts, publishes
// inferences and alerts.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "contracts/error/error.h"
#include "inference/alerts/rules.h"
#include "inference/frame/frame.h"
#include "inference/processing/event_processor.h"
#include "runtime/kafka/kafka.h"
#include "runtime/metrics/metrics.h"

namespace edgeloop::sidecar {

inline constexpr int64_t kSeedRecords = 5'000;  // of each partition of the telemetry
inline constexpr int64_t kSeedAlerts = 1'000;

class StreamWorker {
 public:
  struct Options {
    kafka::ConnectionOptions connection;
    processing::ProcessorOptions processor;
  };
  // `on_work` is called when NextRequest() of the processor may have something.
  static Expected<std::unique_ptr<StreamWorker>> Create(Options options, alerts::Rules rules,
                                                        metrics::Registry& metrics,
                                                        std::function<void()> on_work);

  // Reads all contexts and the last alerts, then goes to the last kSeedRecords of each partition of
  // the telemetry: what is there already is remembered, but nothing follows from it. Fails while
  // the broker or a topic is not there; try again then.
  Status Begin(const frame::Interrupt& interrupt);
  // Handles what comes within `wait`.
  Status Step(std::chrono::milliseconds wait);

  processing::EventProcessor& processor() { return processor_; }
  Status Flush(std::chrono::milliseconds timeout) { return producer_->Flush(timeout); }

 private:
  StreamWorker(std::unique_ptr<kafka::Producer> producer, std::unique_ptr<kafka::Consumer> consumer,
               Options options, alerts::Rules rules, metrics::Registry& metrics,
               std::function<void()> on_work);
  Status ReadEarlier(const frame::Interrupt& interrupt);
  void Handle(const kafka::Record& record);
  Status HandleTelemetry(const kafka::Record& record, bool live);
  void Publish(const v1::Inference& inference);
  void Publish(const v1::Alert& alert);
  void Produce(std::string_view topic, const std::string& key, const std::string& id,
               std::string_view type, uint64_t time_ns, const std::string& value);

  const std::unique_ptr<kafka::Producer> producer_;
  const std::unique_ptr<kafka::Consumer> consumer_;
  const std::function<void()> on_work_;
  std::map<int32_t, int64_t> live_from_;  // partition of the telemetry -> first live offset
  metrics::Counter records_, refused_, inferences_, raised_, cleared_, lost_;
  metrics::Gauge devices_;
  metrics::Histogram telemetry_age_, inference_age_, alert_age_;
  processing::EventProcessor processor_;
};

}  // namespace edgeloop::sidecar
