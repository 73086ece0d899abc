#include "inference/processing/history.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::processing {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

void Append(const Window& window, v1::ModuleRequest* request) {
  v1::TelemetryRecord* record = request->add_history();
  record->set_kind(v1::FEATURES);
  record->set_sensed_at_ns(window.sensed_at_ns);
  record->set_score(window.score);
  record->set_alarm(window.alarm);
  record->set_trip(window.trip);
  record->set_actuator_open(window.actuator_open);
  record->set_model_version(window.model_version);
  record->mutable_features()->Add(window.features.begin(), window.features.end());
}

}  // namespace

void DeviceHistory::Add(const std::vector<std::string>& feature_names, Window window) {
  const bool set_back = !recent_.empty() && window.sensed_at_ns < recent_.back().sensed_at_ns;
  if (set_back || feature_names != feature_names_) {
    older_.clear();
    recent_.clear();
    feature_names_ = feature_names;
  }
  const uint64_t span_ns = limits_.recent_ms * kNsPerMs;
  const uint64_t newest_ns = window.sensed_at_ns;
  recent_.push_back(std::move(window));
  while (recent_.size() > limits_.recent_windows ||
         newest_ns - recent_.front().sensed_at_ns > span_ns) {
    Window& leaving = recent_.front();
    if (older_.empty() ||
        leaving.sensed_at_ns - older_.back().sensed_at_ns >= limits_.step_ms * kNsPerMs) {
      older_.push_back(std::move(leaving));
      if (older_.size() > limits_.older_windows) older_.pop_front();
    }
    recent_.pop_front();
  }
}

double DeviceHistory::AlarmFraction(uint64_t span_ms) const {
  if (recent_.empty()) return 0;
  size_t windows = 0, alarms = 0;
  for (auto it = recent_.rbegin(); it != recent_.rend(); ++it) {
    if (recent_.back().sensed_at_ns - it->sensed_at_ns > span_ms * kNsPerMs) break;
    ++windows;
    alarms += it->alarm;
  }
  return static_cast<double>(alarms) / static_cast<double>(std::max<size_t>(windows, 3));
}

void DeviceHistory::AppendTo(v1::ModuleRequest* request) const {
  const int before = request->history_size();
  for (const Window& window : older_) Append(window, request);
  for (const Window& window : recent_) Append(window, request);
  if (request->history_size() > before) {
    request->mutable_history(before)->mutable_feature_names()->Add(feature_names_.begin(),
                                                                   feature_names_.end());
  }
}

}  // namespace edgeloop::processing
