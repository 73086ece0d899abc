// What is remembered of one device: its last seconds in full, the minutes before thinned out.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace edgeloop::v1 {
class ModuleRequest;
}

namespace edgeloop::processing {

// Of a FEATURES record, what level 2 needs.
struct Window {
  uint64_t sensed_at_ns = 0;
  float score = 0;
  bool alarm = false;
  bool trip = false;
  bool actuator_open = false;
  uint32_t model_version = 0;
  std::vector<float> features;
};

struct HistoryLimits {
  uint64_t recent_ms = 10'000;  // kept in full...
  size_t recent_windows = 512;  // ...but no more than these
  uint64_t step_ms = 1'000;     // of what is older, one window in each step
  size_t older_windows = 300;
};

class DeviceHistory {
 public:
  explicit DeviceHistory(HistoryLimits limits) : limits_(limits) {}

  // Windows come in order of sensing. Another set of features, or a time before the newest (a clock
  // that was set back), starts a new history.
  void Add(const std::vector<std::string>& feature_names, Window window);

  bool empty() const { return recent_.empty(); }
  size_t size() const { return recent_.size() + older_.size(); }
  const Window& newest() const { return recent_.back(); }
  // Of the windows of the last `span_ms`; of fewer than three, as if the missing ones had none.
  double AlarmFraction(uint64_t span_ms) const;

  // Oldest first; the names of the features only on the first record.
  void AppendTo(v1::ModuleRequest* request) const;

 private:
  HistoryLimits limits_;
  std::vector<std::string> feature_names_;
  std::deque<Window> older_, recent_;
};

}  // namespace edgeloop::processing
