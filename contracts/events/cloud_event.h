// CloudEvents 1.0 attributes of a stream message, Kafka protocol binding, binary content mode
// (section 3.2): the value is the protobuf message, the attributes are headers "ce_*".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::events {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct CloudEvent {
  std::string id;        // unique within source
  std::string source;    // "/devices/gw-01/motor-01", "/services/mlops"
  std::string type;      // "edgeloop.v1.TelemetryRecord"
  uint64_t time_ns = 0;  // time of sensing where there is one
};

Headers ToHeaders(const CloudEvent& event);
// Refuses a message without id, source, type or with a specversion other than 1.0.
Expected<CloudEvent> FromHeaders(const Headers& headers);

// RFC 3339 in UTC with nanoseconds: "2026-01-02T03:04:05.678901234Z".
std::string FormatTime(uint64_t unix_ns);
Expected<uint64_t> ParseTime(std::string_view text);

}  // namespace edgeloop::events
