// What has been seen on the streams so far: the demonstration's only source of truth about the
// platform. Fed by one thread, read by another; see Observer.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::demo {

struct Interval {
  std::string device;
  uint64_t from_ns = 0;
  uint64_t to_ns = 0;
};

struct Window {
  uint64_t sensed_at_ns = 0;  // of its last sample
  bool alarm = false;
  bool open = false;  // the contactor
  uint32_t model_version = 0;
};

struct DeviceSeen {
  std::vector<Window> windows;  // in the order of the stream
  std::vector<v1::DeviceEvent> events;
  std::set<std::pair<uint64_t, uint64_t>> records;  // (boot, seq)
  std::pair<uint64_t, uint64_t> last{0, 0};
  uint64_t trips = 0;
  uint64_t last_trip_ns = 0;
  uint64_t duplicates = 0;  // in the stream; the bridge should have removed them
  uint64_t out_of_order = 0;
  uint64_t dropped = 0;  // reported by LOSS records
  bool open = false;     // contactor, as of the last window
  std::string digest;    // of the confirmed model, as of the last window
  uint32_t version = 0;
};

struct World {
  std::map<std::string, DeviceSeen> devices;
  std::vector<v1::Alert> alerts;
  std::vector<v1::PipelineEvent> pipeline;
  uint64_t inferences = 0;
  uint64_t undecodable = 0;
  std::vector<double> data_age_ms;  // sensing to our reading of it from the stream, live records
  std::vector<double> actuation_latency_us;

  void Add(const v1::TelemetryRecord& record, uint64_t now_ns);

  uint64_t Windows() const;
  uint64_t Records() const;  // distinct
  uint64_t Trips() const;
  // Windows of the interval's device that lie wholly inside it; `span_ns` is how long a window is.
  struct Count {
    uint64_t windows = 0;
    uint64_t alarms = 0;
    uint64_t open = 0;
    double AlarmRate() const { return windows ? static_cast<double>(alarms) / windows : 0; }
  };
  Count CountIn(const std::vector<Interval>& intervals, uint64_t span_ns) const;
};

// The value below which a share `q` (0..1) of the values lie; 0 of none. Sorts the values.
double Percentile(std::vector<double> values, double q);

}  // namespace edgeloop::demo
