#include "inference/processing/event_processor.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/frame/frame.h"

namespace edgeloop::processing {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr size_t kMaxDeviceIdLength = 97;  // two ids and a slash
constexpr size_t kMaxExplanationLength = 2'000;

double AgeMs(uint64_t now_ns, uint64_t sensed_at_ns) {
  return (static_cast<double>(now_ns) - static_cast<double>(sensed_at_ns)) / kNsPerMs;
}

std::unexpected<Error> Bad(std::string message) {
  return Fail(ErrorCode::kCorrupt, std::move(message));
}

Status CheckInference(const v1::ModuleRequest& request, const v1::ModuleResponse& response) {
  if (response.id() != request.id()) {
    return Bad("answer " + std::to_string(response.id()) + " to request " +
               std::to_string(request.id()));
  }
  if (!response.error().empty()) {
    return Fail(ErrorCode::kUnavailable, "module: " + response.error().substr(0, 200));
  }
  if (!response.has_inference()) return Bad("answer without inference or error");
  if (!(response.inference().score() >= 0 && response.inference().score() <= 1)) {
    return Bad("level-2 score is not in 0..1");
  }
  for (const auto& [name, value] : response.inference().evidence()) {
    if (!std::isfinite(value)) return Bad("evidence '" + name.substr(0, 64) + "' is not finite");
  }
  return {};
}

}  // namespace

struct EventProcessor::Device {
  explicit Device(HistoryLimits limits) : history(limits) {}
  DeviceHistory history;
  uint64_t boot = 0, seq = 0;  // newest record seen
  uint64_t sensed_at_ns = 0;   // of it
  bool tripped = false;
  bool has_new_data = false;  // since the last request
  uint64_t requested_at_ns = 0;
  std::string context;  // v1::Context, serialized; empty: none
  std::string machine;
  double criticality = 0.5;
  std::map<std::string, double> values;
  double l2_score = 0;
  std::string explanation;
};

EventProcessor::EventProcessor(ProcessorOptions options, alerts::Rules rules, Outputs outputs,
                               Clock now_ns)
    : options_(options),
      outputs_(std::move(outputs)),
      now_ns_(std::move(now_ns)),
      rules_(std::move(rules)) {}
EventProcessor::~EventProcessor() = default;

EventProcessor::Device* EventProcessor::FindOrAdd(const std::string& id) {
  const auto found = devices_.find(id);
  if (found != devices_.end()) return &found->second;
  if (id.empty() || id.size() > kMaxDeviceIdLength || devices_.size() >= kMaxDevices) {
    return nullptr;
  }
  return &devices_.try_emplace(id, options_.history).first->second;
}

Status EventProcessor::OnTelemetry(const v1::TelemetryRecord& record, bool live) {
  std::lock_guard lock(mutex_);
  Device* device = FindOrAdd(record.device());
  if (device == nullptr) {
    return Fail(ErrorCode::kResourceExhausted,
                "device '" + record.device().substr(0, kMaxDeviceIdLength) +
                    "': bad id, or more than " + std::to_string(kMaxDevices) + " devices");
  }
  if (std::pair(record.boot(), record.seq()) <= std::pair(device->boot, device->seq)) {
    return {};  // delivered again
  }
  if (record.kind() == v1::FEATURES) {
    if (record.features_size() > kMaxFeatures ||
        record.features_size() != record.feature_names_size()) {
      return Bad(std::to_string(record.features_size()) + " features with " +
                 std::to_string(record.feature_names_size()) + " names");
    }
    const bool finite = std::all_of(record.features().begin(), record.features().end(),
                                    [](float f) { return std::isfinite(f); });
    if (!finite || !std::isfinite(record.score())) return Bad("a feature or score is not finite");
    device->history.Add({record.feature_names().begin(), record.feature_names().end()},
                        {.sensed_at_ns = record.sensed_at_ns(),
                         .score = record.score(),
                         .alarm = record.alarm(),
                         .trip = record.trip(),
                         .actuator_open = record.actuator_open(),
                         .model_version = record.model_version(),
                         .features = {record.features().begin(), record.features().end()}});
    device->tripped = record.trip();
    device->has_new_data = live;
  } else if (record.kind() == v1::ALARM) {
    device->tripped = true;
    // Level 2 is asked at once: soon the history is that of a machine that stands still.
    device->requested_at_ns = 0;
    device->has_new_data = live && !device->history.empty();
  } else if (record.kind() == v1::EVENT &&
             record.event().type() == v1::DeviceEvent::CONTACTOR_RESET) {
    device->tripped = false;
  }
  device->boot = record.boot();
  device->seq = record.seq();
  if (record.sensed_at_ns() > 0) device->sensed_at_ns = record.sensed_at_ns();
  if (live && record.kind() == v1::ALARM) Judge(record.device(), *device);
  return {};
}

Status EventProcessor::OnContext(const v1::Context& context) {
  std::lock_guard lock(mutex_);
  if (context.values_size() > kMaxContextValues || context.machine().size() > 200) {
    return Bad("context of '" + context.device().substr(0, kMaxDeviceIdLength) +
               "' has too many values or too long a machine name");
  }
  if (!(context.criticality() >= 0 && context.criticality() <= 1)) {
    return Bad("criticality is not in 0..1");
  }
  std::map<std::string, double> values(context.values().begin(), context.values().end());
  for (const auto& [name, value] : values) {
    if (!std::isfinite(value)) return Bad("context value '" + name.substr(0, 64) + "' not finite");
  }
  Device* device = FindOrAdd(context.device());
  if (device == nullptr) return Bad("context of a bad device id, or too many devices");
  device->context = context.SerializeAsString();
  device->machine = context.machine();
  device->criticality = context.criticality();
  device->values = std::move(values);
  return {};
}

void EventProcessor::OnEarlierAlert(const v1::Alert& alert) {
  std::lock_guard lock(mutex_);
  if (FindOrAdd(alert.device()) == nullptr) return;
  if (alert.cleared()) {
    rules_.Forget(alert.device(), alert.rule());
  } else {
    rules_.Restore(alert.device(), alert.rule(), alert.alert_id());
  }
}

std::unique_ptr<v1::ModuleRequest> EventProcessor::NextRequest() {
  std::lock_guard lock(mutex_);
  const uint64_t now_ns = now_ns_();
  Device* due = nullptr;
  const std::string* id = nullptr;
  for (auto& [name, device] : devices_) {
    if (!device.has_new_data) continue;
    if (now_ns >= device.requested_at_ns &&
        now_ns - device.requested_at_ns < options_.interval_ms * kNsPerMs) {
      continue;
    }
    if (due == nullptr || device.requested_at_ns < due->requested_at_ns) {
      due = &device;
      id = &name;
    }
  }
  if (due == nullptr) return nullptr;
  due->has_new_data = false;
  due->requested_at_ns = now_ns;
  auto request = std::make_unique<v1::ModuleRequest>();
  request->set_id(++last_request_);
  request->set_device(*id);
  if (!due->context.empty()) request->mutable_context()->ParseFromString(due->context);
  due->history.AppendTo(request.get());
  // Very wide feature sets: the oldest half goes until the frame fits, the names stay.
  while (request->ByteSizeLong() > frame::kMaxFrameBytes && request->history_size() > 1) {
    auto* history = request->mutable_history();
    const int half = history->size() / 2;
    history->Mutable(half)->mutable_feature_names()->Swap(
        history->Mutable(0)->mutable_feature_names());
    history->DeleteSubrange(0, half);
  }
  return request;
}

std::optional<uint64_t> EventProcessor::MsUntilNextRequest() const {
  std::lock_guard lock(mutex_);
  const uint64_t now_ns = now_ns_();
  std::optional<uint64_t> least;
  for (const auto& [name, device] : devices_) {
    if (!device.has_new_data) continue;
    const uint64_t since_ns = now_ns - std::min(now_ns, device.requested_at_ns);
    const uint64_t since_ms = since_ns / kNsPerMs;
    const uint64_t left_ms = options_.interval_ms - std::min(options_.interval_ms, since_ms);
    least = std::min(least.value_or(left_ms), left_ms);
  }
  return least;
}

Status EventProcessor::OnResponse(const v1::ModuleRequest& request,
                                  const v1::ModuleResponse& response) {
  if (Status status = CheckInference(request, response); !status) return status;
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(request.device());
  if (found == devices_.end()) return {};
  v1::Inference inference = response.inference();
  inference.set_device(request.device());
  inference.set_at_ns(now_ns_());
  if (request.history_size() > 0) {
    inference.set_sensed_at_ns(request.history(request.history_size() - 1).sensed_at_ns());
  }
  if (inference.explanation().size() > kMaxExplanationLength) {
    inference.mutable_explanation()->resize(kMaxExplanationLength);
  }
  found->second.l2_score = inference.score();
  found->second.explanation = inference.explanation();
  outputs_.inference(inference);
  Judge(found->first, found->second);
  return {};
}

void EventProcessor::Judge(const std::string& id, Device& device) {
  const uint64_t now_ns = now_ns_();
  alerts::Facts facts{.l1_score = device.history.empty() ? 0.0 : device.history.newest().score,
                      .l1_alarm_fraction = device.history.AlarmFraction(options_.alarm_window_ms),
                      .l1_trip = device.tripped ? 1.0 : 0.0,
                      .l2_score = device.l2_score,
                      .data_age_ms = AgeMs(now_ns, device.sensed_at_ns),
                      .criticality = device.criticality,
                      .context = device.values};
  for (const alerts::Transition& transition : rules_.Evaluate(id, device.sensed_at_ns, facts)) {
    v1::Alert alert;
    alert.set_alert_id(transition.alert_id);
    alert.set_device(id);
    alert.set_rule(transition.rule);
    alert.set_severity(transition.severity);
    alert.set_at_ns(now_ns);
    alert.set_sensed_at_ns(device.sensed_at_ns);
    alert.set_data_age_ms(facts.data_age_ms);
    alert.set_cleared(transition.cleared);
    auto& evidence = *alert.mutable_evidence();
    evidence["l1_score"] = facts.l1_score;
    evidence["l1_alarm_fraction"] = facts.l1_alarm_fraction;
    evidence["l1_trip"] = facts.l1_trip;
    evidence["l2_score"] = facts.l2_score;
    evidence["criticality"] = facts.criticality;
    char figures[160];
    std::snprintf(figures, sizeof figures,
                  "%.0f %% of the windows of the last %.0f s alarm, level-2 score %.2f",
                  100 * facts.l1_alarm_fraction,
                  static_cast<double>(options_.alarm_window_ms) / 1000, facts.l2_score);
    alert.set_text(transition.rule + (transition.cleared ? " ended on " : " on ") +
                   (device.machine.empty() ? id : device.machine + " (" + id + ")") + ": " +
                   figures + (device.explanation.empty() ? "" : ". " + device.explanation));
    outputs_.alert(alert);
  }
}

size_t EventProcessor::device_count() const {
  std::lock_guard lock(mutex_);
  return devices_.size();
}

}  // namespace edgeloop::processing
