#include "cli/demo/world.h"

#include <algorithm>
#include <cmath>

namespace edgeloop::demo {

void World::Add(const v1::TelemetryRecord& record, uint64_t now_ns) {
  DeviceSeen& device = devices[record.device()];
  const std::pair<uint64_t, uint64_t> position{record.boot(), record.seq()};
  if (!device.records.insert(position).second) {
    ++device.duplicates;
    return;
  }
  if (position < device.last) ++device.out_of_order;
  device.last = std::max(device.last, position);
  switch (record.kind()) {
    case v1::FEATURES:
      device.windows.push_back({.sensed_at_ns = record.sensed_at_ns(),
                                .alarm = record.alarm(),
                                .open = record.actuator_open(),
                                .model_version = record.model_version()});
      device.open = record.actuator_open();
      device.digest = record.model_digest();
      device.version = record.model_version();
      if (now_ns > record.sensed_at_ns()) {
        data_age_ms.push_back(static_cast<double>(now_ns - record.sensed_at_ns()) / 1e6);
      }
      break;
    case v1::ALARM:
      ++device.trips;
      device.last_trip_ns = record.sensed_at_ns();
      device.open = record.actuator_open();
      actuation_latency_us.push_back(record.actuation_latency_us());
      break;
    case v1::EVENT:
      device.events.push_back(record.event());
      if (record.event().type() == v1::DeviceEvent::CONTACTOR_RESET) device.open = false;
      break;
    case v1::LOSS:
      device.dropped += record.loss().raw() + record.loss().features() + record.loss().alarms();
      break;
    default:
      break;
  }
}

uint64_t World::Windows() const {
  uint64_t sum = 0;
  for (const auto& [id, device] : devices) sum += device.windows.size();
  return sum;
}

uint64_t World::Records() const {
  uint64_t sum = 0;
  for (const auto& [id, device] : devices) sum += device.records.size();
  return sum;
}

uint64_t World::Trips() const {
  uint64_t sum = 0;
  for (const auto& [id, device] : devices) sum += device.trips;
  return sum;
}

World::Count World::CountIn(const std::vector<Interval>& intervals, uint64_t span_ns) const {
  Count count;
  for (const Interval& interval : intervals) {
    const auto it = devices.find(interval.device);
    if (it == devices.end()) continue;
    for (const Window& window : it->second.windows) {
      if (window.sensed_at_ns > interval.to_ns ||
          window.sensed_at_ns < interval.from_ns + span_ns) {
        continue;
      }
      ++count.windows;
      count.alarms += window.alarm;
      count.open += window.open;
    }
  }
  return count;
}

double Percentile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double at = std::ceil(q * static_cast<double>(values.size())) - 1;
  return values[static_cast<size_t>(std::clamp(at, 0.0, static_cast<double>(values.size() - 1)))];
}

}  // namespace edgeloop::demo
