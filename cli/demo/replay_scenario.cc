#include <algorithm>
#include <cmath>

#include "cli/demo/scenario.h"
#include "things/gateway/sensors/recordings.h"

namespace edgeloop::demo {
namespace {

// The parts of a recording, with a gap between them so that no window touches two.
struct Part {
  const char* name;
  double from, to;
};
constexpr Part kTraining = {"train", 0.0, 0.40};
constexpr Part kValidation = {"validate", 0.42, 0.60};
constexpr Part kShow = {"show", 0.64, 1.0};

// How many different phases of its windows a recording is seen with, at least: a recording is
// short, and the windows of one phase alone are few.
constexpr int kPhases = 4;

class ReplayScenario final : public Scenario {
 public:
  ReplayScenario(const ScenarioOptions& options, sensors::Plan plan, Geometry geometry)
      : options_(options), plan_(std::move(plan)), geometry_(geometry) {
    for (const sensors::Stage& stage : plan_.stages) {
      StageInfo info{.name = stage.name, .conditions = stage.conditions, .faults = {}};
      for (const auto& recording : FaultyOf(stage)) info.faults.push_back(recording.label);
      stages_.push_back(std::move(info));
    }
  }

  const std::vector<StageInfo>& stages() const override { return stages_; }
  const Geometry& geometry() const override { return geometry_; }

  std::vector<Labelled> Commission(int device) const override {
    const sensors::Stage& baseline = plan_.stages[0];
    std::vector<Labelled> out;
    for (const auto& recording : baseline.healthy) AddBoth(recording, OwnPhases(device), 0, &out);
    // The faulty machines are few: each fault is on one device, in all phases.
    std::vector<uint32_t> phases;
    for (int i = 0; i < kPhases; ++i) phases.push_back(Phase(i));
    for (size_t f = 0; f < baseline.faulty.size(); ++f) {
      if (static_cast<int>(f) % options_.devices == device) {
        AddBoth(baseline.faulty[f], phases, 0, &out);
      }
    }
    return out;
  }

  std::vector<Labelled> Learn(int stage, int device, int max_windows) const override {
    std::vector<Labelled> out;
    for (const auto& recording : plan_.stages[stage].healthy) {
      AddBoth(recording, OwnPhases(device), max_windows, &out);
    }
    return out;
  }

  std::vector<sensors::Segment> Show(int stage, int device, int max_windows) const override {
    std::vector<Labelled> out;
    for (const auto& recording : plan_.stages[stage].healthy) {
      Add(recording, kShow, OwnPhases(device), max_windows, &out);
    }
    std::vector<sensors::Segment> segments;
    for (Labelled& labelled : out) segments.push_back(std::move(labelled.segment));
    return segments;
  }

  sensors::Segment Fault(int stage, int device, int which) const override {
    const auto& faulty = FaultyOf(plan_.stages[stage]);
    std::vector<Labelled> out;
    Add(faulty[static_cast<size_t>(which) % faulty.size()], kShow, {OwnPhases(device)[0]}, 0, &out);
    return out[0].segment;
  }

 private:
  // A condition of which there is no fault on record shows one of the baseline.
  const std::vector<sensors::Recording>& FaultyOf(const sensors::Stage& stage) const {
    return stage.faulty.empty() ? plan_.stages[0].faulty : stage.faulty;
  }

  // Quarters of a hop, then sixteenths between them.
  uint32_t Phase(int index) const {
    const uint32_t quarter = geometry_.hop / 4;
    return static_cast<uint32_t>(index % 4) * quarter +
           static_cast<uint32_t>(index / 4 % 4) * (quarter / 4);
  }

  std::vector<uint32_t> OwnPhases(int device) const {
    const int passes = (kPhases + options_.devices - 1) / options_.devices;
    std::vector<uint32_t> phases;
    for (int pass = 0; pass < passes; ++pass) {
      phases.push_back(Phase(device + pass * options_.devices));
    }
    return phases;
  }

  void AddBoth(const sensors::Recording& recording, const std::vector<uint32_t>& phases,
               int max_windows, std::vector<Labelled>* out) const {
    Add(recording, kTraining, phases, max_windows, out);
    Add(recording, kValidation, phases, max_windows, out);
  }

  void Add(const sensors::Recording& recording, const Part& part,
           const std::vector<uint32_t>& phases, int max_windows, std::vector<Labelled>* out) const {
    const double frames = static_cast<double>(recording.samples);
    const auto first = static_cast<uint64_t>(part.from * frames);
    const auto end = static_cast<uint64_t>(part.to * frames);
    for (const uint32_t phase : phases) {
      uint64_t begin = first + phase;
      while (begin + geometry_.window <= end) {
        const uint64_t windows = (end - begin - geometry_.window) / geometry_.hop + 1;
        const uint64_t taken = max_windows > 0
                                   ? std::min<uint64_t>(windows, static_cast<uint64_t>(max_windows))
                                   : windows;
        const uint64_t stop = begin + geometry_.window + (taken - 1) * geometry_.hop;
        // The middle of a frame: floor() of the source then hits it whatever the rounding.
        const sensors::ReplaySegment replay{
            .file = recording.file,
            .from = (static_cast<double>(begin) + 0.5) / frames,
            .to = std::min(1.0, (static_cast<double>(stop) + 0.5) / frames),
            .phase = 0,
            .repeat = 1};
        out->push_back({.segment = {.id = "", .content = replay},
                        .label = recording.label,
                        .faulty = recording.faulty,
                        .validation = &part == &kValidation});
        // The next run starts where the next window of a longer one would.
        begin += taken * geometry_.hop;
      }
    }
  }

  ScenarioOptions options_;
  sensors::Plan plan_;
  Geometry geometry_;
  std::vector<StageInfo> stages_;
};

}  // namespace

Expected<std::unique_ptr<Scenario>> CreateReplayScenario(const ScenarioOptions& options) {
  const auto catalogue = sensors::ReadCatalogue(options.data_dir);
  if (!catalogue) return Fail(catalogue.error());
  auto plan = sensors::PlanConditions(*catalogue, options.baseline, options.changes);
  if (!plan) return Fail(plan.error());
  if (plan->stages.size() < 3) {
    return Fail(ErrorCode::kInvalidArgument,
                options.data_dir + ": the recordings show " + std::to_string(plan->stages.size()) +
                    " operating conditions, the demo needs a baseline and two changes; see "
                    "`edgeloop data inspect " +
                    options.data_dir + "` and name them with --baseline and --change");
  }
  if (plan->stages[0].faulty.empty()) {
    return Fail(ErrorCode::kInvalidArgument, options.data_dir +
                                                 ": no faulty recording at the baseline (" +
                                                 sensors::ToString(plan->stages[0].conditions) +
                                                 "): choose another with --baseline");
  }
  for (const sensors::Stage& stage : plan->stages) {
    for (const auto* recordings : {&stage.healthy, &stage.faulty}) {
      for (const sensors::Recording& recording : *recordings) {
        const double shortest = (kValidation.to - kValidation.from) * recording.samples;
        if (shortest < options.window + options.hop) {
          return Fail(ErrorCode::kInvalidArgument,
                      recording.file +
                          " is too short to be split: " + std::to_string(recording.samples) +
                          " samples, windows of " + std::to_string(options.window));
        }
      }
    }
  }
  const Geometry geometry{.sample_rate_hz = sensors::MainFormat(*catalogue).sample_rate_hz,
                          .window = options.window,
                          .hop = options.hop};
  return std::make_unique<ReplayScenario>(options, std::move(*plan), geometry);
}

}  // namespace edgeloop::demo
