// Event processing: telemetry, context and inferences of all devices come in, requests for level-2
// inference and alerts go out. Knows neither Kafka nor sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "contracts/error/error.h"
#include "inference/alerts/rules.h"
#include "inference/processing/history.h"

namespace edgeloop::v1 {
class Alert;
class Context;
class Inference;
class ModuleRequest;
class ModuleResponse;
class TelemetryRecord;
}  // namespace edgeloop::v1

namespace edgeloop::processing {

inline constexpr size_t kMaxDevices = 10'000;
inline constexpr int kMaxFeatures = 512;
inline constexpr int kMaxContextValues = 64;

struct ProcessorOptions {
  uint64_t interval_ms = 1'000;      // between two inferences of a device
  uint64_t alarm_window_ms = 3'000;  // of l1_alarm_fraction
  HistoryLimits history;
};

// Thread-safe. The outputs are called under its lock and must not call back.
class EventProcessor {
 public:
  struct Outputs {
    std::function<void(const v1::Inference&)> inference;
    std::function<void(const v1::Alert&)> alert;
  };
  using Clock = std::function<uint64_t()>;  // Unix time, ns
  EventProcessor(ProcessorOptions options, alerts::Rules rules, Outputs outputs, Clock now_ns);
  ~EventProcessor();

  // `live` false: from before our start; remembered, but nothing follows from it.
  // An error tells what is wrong with the record; it was not used then.
  Status OnTelemetry(const v1::TelemetryRecord& record, bool live);
  Status OnContext(const v1::Context& context);
  // From before our start, in their order.
  void OnEarlierAlert(const v1::Alert& alert);

  // What to ask the module next: of the devices with new data whose interval has passed the one
  // that has waited longest. Null when there is none.
  std::unique_ptr<v1::ModuleRequest> NextRequest();
  // How long until NextRequest() may give one; nullopt: not before new data.
  std::optional<uint64_t> MsUntilNextRequest() const;
  // The answer to `request`.
  Status OnResponse(const v1::ModuleRequest& request, const v1::ModuleResponse& response);

  size_t device_count() const;

 private:
  struct Device;
  Device* FindOrAdd(const std::string& id);
  void Judge(const std::string& id, Device& device);

  const ProcessorOptions options_;
  const Outputs outputs_;
  const Clock now_ns_;
  mutable std::mutex mutex_;
  alerts::Rules rules_;
  std::map<std::string, Device> devices_;
  uint64_t last_request_ = 0;
};

}  // namespace edgeloop::processing
