// A segment: a stretch of what a simulated source plays, deterministic by construction. What it
// yields depends on the segment (and its seed) alone, never on wall time or on what was before.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "contracts/error/error.h"

namespace edgeloop::sensors {

inline constexpr size_t kMaxSegmentIdLength = 64;  // of [A-Za-z0-9._-]
inline constexpr uint32_t kMaxReplayRepeat = 1'000'000;
inline constexpr double kMaxSegmentSeconds = 86'400;
inline constexpr double kMaxSpeedRpm = 12'000;

// {"id":"s1","file":"1800rpm_healthy_00lb.i16","from":0.0,"to":0.4,"phase":128,"repeat":1}
struct ReplaySegment {
  std::string file;     // as the index names it
  double from = 0;      // fractions of the recording
  double to = 1;        // the end is frame floor(to * n), exclusive
  uint32_t phase = 0;   // the first frame is floor(from * n) + phase
  uint32_t repeat = 1;  // the same frames again, without a restart in between

  friend bool operator==(const ReplaySegment&, const ReplaySegment&) = default;
};

enum class MotorFault {
  kNone,
  kInnerRace,
  kOuterRace,
  kBall,
  kImbalance,
  kMisalignment,
  kWinding,
};
std::string_view MotorFaultName(MotorFault fault);  // "none", "inner_race", ...

// {"id":"s2","seed":7,"duration_s":3.0,"speed_rpm":1480,"load":0.6,"fault":"inner_race",
//  "severity":0.8,"severity_start":0.8}
struct MotorSegment {
  uint64_t seed = 1;
  double duration_s = 0;
  // Shaft speed that the drive holds; 0: straight from the supply, speed follows from the slip.
  double speed_rpm = 0;
  double load = 0.5;  // of the rated torque, 0..1.5
  MotorFault fault = MotorFault::kNone;
  double severity = 0;        // 0..1 at the end of the segment
  double severity_start = 0;  // at its start; the fault grows evenly between. Default: severity
  double warm = 1;            // start of the temperatures: 0 cold .. 1 settled at this load

  friend bool operator==(const MotorSegment&, const MotorSegment&) = default;
};

struct Segment {
  std::string id;
  std::variant<ReplaySegment, MotorSegment> content;

  // A segment with "file" is a replay segment, any other one a motor segment. Unknown keys are
  // refused, each value is checked against its bounds.
  static Expected<Segment> FromJson(const nlohmann::json& json);
  nlohmann::json ToJson() const;

  // What `loop_last` plays the k-th time (k = 0: the segment itself): a motor segment with
  // seed + k, a replay segment unchanged.
  Segment Repetition(uint64_t k) const;

  friend bool operator==(const Segment&, const Segment&) = default;
};

}  // namespace edgeloop::sensors
