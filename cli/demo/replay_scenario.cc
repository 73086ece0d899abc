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
  // `faults`: those to be shown, of each stage.
  ReplayScenario(const ScenarioOptions& options, sensors::Plan plan,
                 std::vector<std::vector<sensors::Recording>> faults, Geometry geometry)
      : options_(options), plan_(std::move(plan)), faults_(std::move(faults)), geometry_(geometry) {
    for (size_t i = 0; i < plan_.stages.size(); ++i) {
      StageInfo info{
          .name = plan_.stages[i].name, .conditions = plan_.stages[i].conditions, .faults = {}};
      for (const auto& recording : faults_[i]) info.faults.push_back(recording.label);
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
    const auto& faulty = faults_[static_cast<size_t>(stage)];
    std::vector<Labelled> out;
    Add(faulty[static_cast<size_t>(which) % faulty.size()], kShow, {OwnPhases(device)[0]}, 0, &out);
    return out[0].segment;
  }

 private:
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
  std::vector<std::vector<sensors::Recording>> faults_;
  Geometry geometry_;
  std::vector<StageInfo> stages_;
};

// Vibration of a recording without its mean: the geometric mean of its channels' rms, as logarithm.
Expected<double> Strength(const std::string& dir, const sensors::Recording& recording) {
  const auto samples = sensors::ReadSamples(dir, recording);
  if (!samples) return Fail(samples.error(), recording.file);
  double sum_of_logs = 0;
  for (size_t c = 0; c < recording.channels; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = c; i < samples->size(); i += recording.channels) {
      sum += (*samples)[i];
      squares += static_cast<double>((*samples)[i]) * (*samples)[i];
    }
    const size_t frames = samples->size() / recording.channels;
    const auto n = static_cast<double>(frames);
    sum_of_logs += 0.5 * std::log(std::max(squares / n - sum / n * (sum / n), 1e-30));
  }
  return sum_of_logs / recording.channels;
}

// Faults to be shown in a stage. Of the baseline's each one was labelled, and all are shown. Later
// conditions have faults that no model was trained on: of these the half that vibrates most; the
// weakest do not differ from a healthy machine by as much as conditions do. A stage without faults
// on record shows the baseline's.
Expected<std::vector<std::vector<sensors::Recording>>> ChooseFaults(const std::string& dir,
                                                                    const sensors::Plan& plan) {
  std::vector<std::vector<sensors::Recording>> chosen = {plan.stages[0].faulty};
  for (size_t i = 1; i < plan.stages.size(); ++i) {
    std::vector<std::pair<double, const sensors::Recording*>> ranked;
    for (const auto& recording : plan.stages[i].faulty) {
      const auto strength = Strength(dir, recording);
      if (!strength) return Fail(strength.error());
      ranked.emplace_back(-*strength, &recording);
    }
    std::ranges::stable_sort(ranked, {}, &std::pair<double, const sensors::Recording*>::first);
    std::vector<sensors::Recording> strong;
    for (size_t k = 0; k < (ranked.size() + 1) / 2; ++k) strong.push_back(*ranked[k].second);
    if (strong.empty()) strong = plan.stages[0].faulty;
    chosen.push_back(std::move(strong));
  }
  return chosen;
}

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
  auto faults = ChooseFaults(options.data_dir, *plan);
  if (!faults) return Fail(faults.error());
  return std::make_unique<ReplayScenario>(options, std::move(*plan), std::move(*faults), geometry);
}

}  // namespace edgeloop::demo
