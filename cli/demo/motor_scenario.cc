#include <algorithm>
#include <array>
#include <cmath>

#include "cli/demo/scenario.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::demo {
namespace {

constexpr int kTrainingWindows = 72;
constexpr int kValidationWindows = 36;
constexpr int kFaultTrainingWindows = 24;  // of each kind and severity
constexpr int kFaultValidationWindows = 12;
constexpr int kShowWindows = 48;
constexpr double kFaultShowSeconds = 4.0;
constexpr std::array kSeverities = {0.6, 0.9};
constexpr double kShownSeverity = 0.8;

constexpr std::array kFaults = {sensors::MotorFault::kInnerRace, sensors::MotorFault::kOuterRace,
                                sensors::MotorFault::kBall, sensors::MotorFault::kImbalance,
                                sensors::MotorFault::kMisalignment};

constexpr const char* kSpeed = "speed_rpm";
constexpr const char* kLoad = "load";

// What a segment is for; part of its seed, so that no two purposes share a sample.
enum class Part : uint64_t { kTraining = 1, kValidation, kShow, kFault };

struct OperatingPoint {
  double speed_rpm;
  double load;
};

double ValueOf(const sensors::Conditions& conditions, const std::string& key, double otherwise) {
  for (const auto& [name, value] : conditions) {
    if (name == key) return value;
  }
  return otherwise;
}

class MotorScenario final : public Scenario {
 public:
  MotorScenario(const ScenarioOptions& options, Geometry geometry,
                std::vector<sensors::Conditions> conditions)
      : options_(options), geometry_(geometry) {
    const OperatingPoint baseline{ValueOf(conditions[0], kSpeed, 0),
                                  ValueOf(conditions[0], kLoad, 0)};
    std::vector<double> speeds = {baseline.speed_rpm}, loads = {baseline.load};
    for (size_t i = 0; i < conditions.size(); ++i) {
      StageInfo info{.name = i == 0 ? "baseline" : "change " + std::to_string(i),
                     .conditions = conditions[i],
                     .faults = {}};
      for (const auto fault : kFaults) info.faults.emplace_back(sensors::MotorFaultName(fault));
      stages_.push_back(std::move(info));
      // A change sets its own keys; the others have each value that is already in operation.
      const double speed = ValueOf(conditions[i], kSpeed, -1),
                   load = ValueOf(conditions[i], kLoad, -1);
      std::vector<OperatingPoint> points;
      for (const double s : speed >= 0 ? std::vector{speed} : speeds) {
        for (const double l : load >= 0 ? std::vector{load} : loads) points.push_back({s, l});
      }
      points_.push_back(std::move(points));
      if (speed >= 0 && std::ranges::find(speeds, speed) == speeds.end()) speeds.push_back(speed);
      if (load >= 0 && std::ranges::find(loads, load) == loads.end()) loads.push_back(load);
    }
  }

  const std::vector<StageInfo>& stages() const override { return stages_; }
  const Geometry& geometry() const override { return geometry_; }

  std::vector<Labelled> Commission(int device) const override {
    std::vector<Labelled> out = Learn(0, device, 0);
    int which = 0;
    for (const auto fault : kFaults) {
      for (const double severity : kSeverities) {
        if (which++ % options_.devices != device) continue;
        Add(Part::kTraining, 0, points_[0][0], device, fault, severity, kFaultTrainingWindows, 0,
            &out);
        Add(Part::kValidation, 0, points_[0][0], device, fault, severity, kFaultValidationWindows,
            0, &out);
      }
    }
    return out;
  }

  std::vector<Labelled> Learn(int stage, int device, int max_windows) const override {
    std::vector<Labelled> out;
    for (const OperatingPoint& point : points_[stage]) {
      Add(Part::kTraining, stage, point, device, sensors::MotorFault::kNone, 0, kTrainingWindows,
          max_windows, &out);
      Add(Part::kValidation, stage, point, device, sensors::MotorFault::kNone, 0,
          kValidationWindows, max_windows, &out);
    }
    return out;
  }

  // A motor's samples depend on when its segment began, so the same windows before and after need
  // the same runs: short ones, whatever the limit.
  std::vector<sensors::Segment> Show(int stage, int device, int max_windows) const override {
    std::vector<Labelled> out;
    for (const OperatingPoint& point : points_[stage]) {
      Add(Part::kShow, stage, point, device, sensors::MotorFault::kNone, 0, kShowWindows,
          max_windows, &out);
    }
    std::vector<sensors::Segment> segments;
    for (Labelled& labelled : out) segments.push_back(std::move(labelled.segment));
    return segments;
  }

  sensors::Segment Fault(int stage, int device, int which) const override {
    const auto fault = kFaults[static_cast<size_t>(which) % kFaults.size()];
    return {.id = "",
            .content = sensors::MotorSegment{
                .seed = Seed(Part::kFault, stage, device, static_cast<uint64_t>(which)),
                .duration_s = kFaultShowSeconds,
                .speed_rpm = points_[stage][0].speed_rpm,
                .load = points_[stage][0].load,
                .fault = fault,
                .severity = kShownSeverity,
                .severity_start = kShownSeverity}};
  }

 private:
  uint64_t Seed(Part part, int stage, int device, uint64_t index) const {
    uint64_t seed = Mix(options_.seed);
    for (const uint64_t value : {static_cast<uint64_t>(part), static_cast<uint64_t>(stage),
                                 static_cast<uint64_t>(device), index}) {
      seed = Mix(seed ^ value);
    }
    return seed >> 12;  // a whole number in JSON, too, where numbers may be doubles
  }

  void Add(Part part, int stage, const OperatingPoint& point, int device, sensors::MotorFault fault,
           double severity, int windows, int max_windows, std::vector<Labelled>* out) const {
    const int run = max_windows > 0 ? std::min(windows, max_windows) : windows;
    for (int done = 0; done < windows; done += run) {
      const int taken = std::min(run, windows - done);
      const double frames = geometry_.window + (taken - 1.0) * geometry_.hop;
      const sensors::MotorSegment motor{// Half a frame more, against rounding down.
                                        .seed = Seed(part, stage, device, out->size()),
                                        .duration_s = (frames + 0.5) / geometry_.sample_rate_hz,
                                        .speed_rpm = point.speed_rpm,
                                        .load = point.load,
                                        .fault = fault,
                                        .severity = severity,
                                        .severity_start = severity};
      const bool faulty = fault != sensors::MotorFault::kNone;
      out->push_back({.segment = {.id = "", .content = motor},
                      .label = faulty ? std::string(sensors::MotorFaultName(fault)) : "healthy",
                      .faulty = faulty,
                      .validation = part == Part::kValidation});
    }
  }

  ScenarioOptions options_;
  Geometry geometry_;
  std::vector<StageInfo> stages_;
  std::vector<std::vector<OperatingPoint>> points_;  // of each stage
};

Status CheckKeys(const sensors::Conditions& conditions) {
  for (const auto& [name, value] : conditions) {
    if (name != kSpeed && name != kLoad) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the simulated motor has no condition '" + name + "': it has speed_rpm and load");
    }
    const double most = name == kSpeed ? sensors::kMaxSpeedRpm : 1.5;
    if (value < 0 || value > most) {
      return Fail(ErrorCode::kInvalidArgument,
                  name + " must be between 0 and " + std::to_string(most));
    }
  }
  return {};
}

}  // namespace

Expected<std::unique_ptr<Scenario>> CreateMotorScenario(const ScenarioOptions& options) {
  std::vector<sensors::Conditions> conditions = {options.baseline};
  if (options.baseline.empty()) conditions[0] = {{kSpeed, 1480}, {kLoad, 0.5}};
  for (const auto& change : options.changes) conditions.push_back(change);
  if (options.changes.empty()) {
    conditions.push_back({{kLoad, 1.0}});
    conditions.push_back({{kSpeed, 2200}});
  }
  for (const auto& asked : conditions) {
    if (Status s = CheckKeys(asked); !s) return Fail(s.error());
  }
  if (ValueOf(conditions[0], kSpeed, -1) < 0 || ValueOf(conditions[0], kLoad, -1) < 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "--baseline of the simulated motor needs speed_rpm and load, for example "
                "speed_rpm=1480,load=0.5");
  }
  if (conditions.size() < 3) {
    return Fail(ErrorCode::kInvalidArgument, "the demo needs two changes: give --change twice");
  }
  const Geometry geometry{.sample_rate_hz = sensors::MotorOptions{}.sample_rate_hz,
                          .window = options.window,
                          .hop = options.hop};
  return std::make_unique<MotorScenario>(options, geometry, std::move(conditions));
}

}  // namespace edgeloop::demo
