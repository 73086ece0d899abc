// What the machines of a demonstration do: segments for each device and part of the story, from
// recordings or from the motor simulator. Deterministic: the same seed, the same segments.
//
// What a model is trained on (training), judged on (validation) and shown live (show) never
// overlaps: recordings are split in time, with gaps between the parts; the simulator's segments
// have seeds of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "things/gateway/sensors/plan.h"
#include "things/gateway/sensors/segment.h"

namespace edgeloop::demo {

// What the operator will say about a segment, later.
struct Labelled {
  sensors::Segment segment;
  std::string label;
  bool faulty = false;
  bool validation = false;
};

struct Geometry {
  uint32_t sample_rate_hz = 0;
  uint32_t window = 0;  // frames
  uint32_t hop = 0;     // frames
};

class Scenario {
 public:
  virtual ~Scenario() = default;

  struct StageInfo {
    std::string name;
    sensors::Conditions conditions;
    std::vector<std::string> faults;  // labels that Fault() can show
  };
  virtual const std::vector<StageInfo>& stages() const = 0;
  virtual const Geometry& geometry() const = 0;

  // The baseline's healthy and faulty operation, to be labelled. Device `device` of `devices`.
  virtual std::vector<Labelled> Commission(int device) const = 0;
  // Healthy operation of a stage to be labelled, in runs of at most `max_windows` windows: too
  // short for the model in charge to trip on, as it would on a condition it does not know.
  virtual std::vector<Labelled> Learn(int stage, int device, int max_windows) const = 0;
  // Healthy operation of a stage that no model is ever trained or validated on. The same windows
  // for each `max_windows` (0: no limit).
  virtual std::vector<sensors::Segment> Show(int stage, int device, int max_windows) const = 0;
  // A fault, likewise never trained on; `which` counts over stages()[stage].faults.
  virtual sensors::Segment Fault(int stage, int device, int which) const = 0;
};

struct ScenarioOptions {
  int devices = 4;
  uint64_t seed = 1;
  uint32_t window = 2048;
  uint32_t hop = 512;
  std::string data_dir;  // empty: the simulator
  sensors::Conditions baseline;
  std::vector<sensors::Conditions> changes;
};
Expected<std::unique_ptr<Scenario>> CreateScenario(const ScenarioOptions& options);

// The two kinds.
Expected<std::unique_ptr<Scenario>> CreateReplayScenario(const ScenarioOptions& options);
Expected<std::unique_ptr<Scenario>> CreateMotorScenario(const ScenarioOptions& options);

// Uniform mixing of seeds (SplitMix64, Steele et al. 2014).
uint64_t Mix(uint64_t value);

}  // namespace edgeloop::demo
