// The streams (Kafka topics) of Edgeloop. MQTT topics are in contracts/sparkplug.
#pragma once

#include <array>
#include <string_view>

namespace edgeloop::topics {

inline constexpr std::string_view kTelemetry = "edgeloop.telemetry";
inline constexpr std::string_view kContext = "edgeloop.context";
inline constexpr std::string_view kInferences = "edgeloop.inferences";
inline constexpr std::string_view kAlerts = "edgeloop.alerts";
inline constexpr std::string_view kCommands = "edgeloop.commands";
inline constexpr std::string_view kModels = "edgeloop.models";
inline constexpr std::string_view kPipelines = "edgeloop.pipelines";
inline constexpr std::string_view kLabels = "edgeloop.labels";
inline constexpr std::string_view kPositions = "edgeloop.positions";
// What failed to decode, with the header "reason".
inline constexpr std::string_view kTelemetryDlq = "edgeloop.telemetry.dlq";

struct Stream {
  std::string_view name;
  int partitions;
  bool compacted;  // the latest value of a key is what matters
};

inline constexpr std::array<Stream, 10> kAll = {{
    {kTelemetry, 4, false},
    {kContext, 1, true},
    {kInferences, 1, false},
    {kAlerts, 1, false},
    {kCommands, 1, false},
    {kModels, 1, true},
    {kPipelines, 1, false},
    {kLabels, 1, false},
    {kPositions, 1, true},
    {kTelemetryDlq, 1, false},
}};

}  // namespace edgeloop::topics
