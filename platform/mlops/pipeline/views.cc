#include "platform/mlops/pipeline/views.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace edgeloop::mlops {
namespace {

using nlohmann::json;

constexpr int kListed = 50;
constexpr std::size_t kListedFeatures = 12;

json ToJson(const SignedModel& model) {
  return {{"name", model.name},
          {"version", model.version},
          {"digest", model.digest},
          {"size", model.size},
          {"key_id", model.key_id}};
}

json ToJson(const RunView& run) {
  return {{"run", run.Name()},
          {"reason", run.reason},
          {"state", run.state},
          {"step", run.step},
          {"note", run.note},
          {"snapshot", run.snapshot},
          {"model_version", run.version},
          {"rollout", run.rollout},
          {"started_ms", run.started_ms},
          {"ended_ms", run.ended_ms},
          {"figures", run.figures}};
}

json FeaturesJson(std::vector<FeatureDrift> features) {
  std::ranges::stable_sort(features, std::ranges::greater{}, &FeatureDrift::psi);
  if (features.size() > kListedFeatures) features.resize(kListedFeatures);
  json list = json::array();
  for (const FeatureDrift& feature : features) {
    list.push_back({{"name", feature.name}, {"psi", feature.psi}, {"p_value", feature.p_value}});
  }
  return list;
}

}  // namespace

std::string StatusJson(Controller& controller) {
  json devices = json::array();
  for (const DeviceState& device : controller.Devices()) {
    devices.push_back({{"device", device.device},
                       {"digest", device.digest},
                       {"version", device.version},
                       {"last_sensed_ns", device.last_sensed_ns}});
  }
  const DatasetCounts counts = controller.Counts();
  const DriftView drift = controller.Drift();
  const auto champion = controller.Champion();
  const auto runs = controller.Runs(1);
  const auto rollouts = controller.ListRollouts(1);
  json status = {{"champion", champion ? ToJson(*champion) : json()},
                 {"devices", std::move(devices)},
                 {"dataset",
                  {{"windows", counts.windows},
                   {"training_rows", counts.training_rows},
                   {"validation_rows", counts.validation_rows},
                   {"refused_rows", counts.refused_rows},
                   {"refused_intervals", counts.refused_intervals},
                   {"foreign_windows", counts.foreign_windows},
                   {"pending_submissions", counts.pending_submissions}}},
                 {"drift",
                  {{"monitored", drift.monitored},
                   {"drifted", drift.drifted},
                   {"since_training", drift.since_training}}},
                 {"run", runs.empty() ? json() : ToJson(runs.front())},
                 {"rollout", rollouts.empty() ? json()
                                              : json{{"id", rollouts.front().id},
                                                     {"state", rollouts.front().state}}}};
  return status.dump();
}

std::string DriftJson(Controller& controller) {
  const DriftView drift = controller.Drift();
  json devices = json::array();
  for (const DeviceDrift& device : drift.devices) {
    devices.push_back({{"device", device.device},
                       {"windows", device.windows},
                       {"decided", device.decided},
                       {"drifted", device.drifted},
                       {"moved_share", device.moved_share},
                       {"features", FeaturesJson(device.features)}});
  }
  return json{{"monitored", drift.monitored},
              {"drifted", drift.drifted},
              {"since_training", drift.since_training},
              {"note", drift.note},
              {"devices_active", drift.fleet.devices_active},
              {"devices_drifted", drift.fleet.devices_drifted},
              {"features", FeaturesJson(drift.fleet.features)},
              {"devices", std::move(devices)}}
      .dump();
}

std::string RunsJson(Controller& controller) {
  json runs = json::array();
  for (const RunView& run : controller.Runs(kListed)) runs.push_back(ToJson(run));
  return json{{"runs", std::move(runs)}}.dump();
}

std::string RolloutsJson(Controller& controller) {
  json rollouts = json::array();
  for (const RolloutView& rollout : controller.ListRollouts(kListed)) {
    json devices = json::array();
    for (const RolloutView::Device& device : rollout.devices) {
      devices.push_back({{"device", device.device},
                         {"canary", device.canary},
                         {"state", device.state},
                         {"reason", device.reason}});
    }
    rollouts.push_back({{"id", rollout.id},
                        {"run", rollout.run},
                        {"model", ToJson(rollout.model)},
                        {"state", rollout.state},
                        {"reason", rollout.reason},
                        {"devices_updated", rollout.Updated()},
                        {"devices", std::move(devices)}});
  }
  return json{{"rollouts", std::move(rollouts)}}.dump();
}

}  // namespace edgeloop::mlops
