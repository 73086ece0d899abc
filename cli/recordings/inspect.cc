#include "cli/recordings/inspect.h"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "contracts/model_file/model_spec.h"
#include "core/model/model.h"
#include "core/node/node.h"
#include "things/gateway/sensors/plan.h"

namespace edgeloop::recordings {
namespace {

using nlohmann::json;

json ToJson(const sensors::Conditions& conditions) {
  json out = json::object();
  for (const auto& [name, value] : conditions) out[name] = value;
  return out;
}

struct Sums {
  uint64_t windows = 0;
  uint64_t recordings = 0;
  std::vector<double> values;
};

// Runs the windows of one recording through the node, as a device does.
Status AddRecording(const sensors::Catalogue& catalogue, const sensors::Recording& recording,
                    node::Node& node, Sums* sums) {
  auto samples = sensors::ReadSamples(catalogue.dir, recording);
  if (!samples) return Fail(samples.error(), recording.file);
  node.Reset();
  std::span<const float> rest(*samples);
  ++sums->recordings;
  while (!rest.empty()) {
    node::WindowResult window;
    bool done = false;
    const size_t frames = node.Push(rest, &window, &done);
    rest = rest.subspan(frames * recording.channels);
    if (!done) break;
    if (window.code != core::Code::kOk) continue;
    ++sums->windows;
    sums->values.resize(window.features.size());
    for (size_t i = 0; i < window.features.size(); ++i) {
      sums->values[i] += static_cast<double>(window.features[i]);
    }
  }
  return {};
}

Expected<json> FeatureSummary(const sensors::Catalogue& catalogue, const InspectOptions& options) {
  const auto format = sensors::MainFormat(catalogue);
  const auto bytes = model_file::Write(model_file::DefaultMotorPipeline(
      format.sample_rate_hz, format.channels, options.window, options.hop));
  if (!bytes) return Fail(bytes.error());
  model::Model model;
  if (const auto code = model::Model::Open(*bytes, &model); code != core::Code::kOk) {
    return Fail(ErrorCode::kInternal, core::CodeText(code));
  }
  struct alignas(16) Block {
    std::byte bytes[16];
  };
  std::vector<Block> blocks(node::Node::WorkspaceBytes(model) / sizeof(Block) + 1);
  node::Node node;
  const auto code = node::Node::Create(model, std::as_writable_bytes(std::span(blocks)), &node);
  if (code != core::Code::kOk) return Fail(ErrorCode::kInternal, core::CodeText(code));

  std::map<std::string, Sums> by_label;
  for (const auto& recording : catalogue.recordings) {
    if (recording.sample_rate_hz != format.sample_rate_hz ||
        recording.channels != format.channels) {
      continue;
    }
    if (Status s = AddRecording(catalogue, recording, node, &by_label[recording.label]); !s) {
      return Fail(s.error());
    }
  }
  const auto names = model_file::FeatureNames(model);
  json out = json::object();
  for (const auto& [label, sums] : by_label) {
    json mean = json::object();
    for (size_t i = 0; i < sums.values.size(); ++i) {
      mean[names[i]] = sums.values[i] / static_cast<double>(sums.windows);
    }
    out[label] = {{"recordings", sums.recordings}, {"windows", sums.windows}, {"mean", mean}};
  }
  return out;
}

json PlanOf(const sensors::Catalogue& catalogue, const InspectOptions& options) {
  const auto plan = sensors::PlanConditions(catalogue, options.baseline, options.changes);
  if (!plan) return {{"error", plan.error().message()}};
  json stages = json::array();
  for (const auto& stage : plan->stages) {
    const auto files = [](const std::vector<sensors::Recording>& recordings) {
      json names = json::array();
      for (const auto& recording : recordings) names.push_back(recording.file);
      return names;
    };
    stages.push_back({{"name", stage.name},
                      {"conditions", ToJson(stage.conditions)},
                      {"healthy", files(stage.healthy)},
                      {"faulty", files(stage.faulty)}});
  }
  return {{"stages", stages}};
}

}  // namespace

Expected<json> Inspect(const InspectOptions& options) {
  const auto catalogue = sensors::ReadCatalogue(options.dir);
  if (!catalogue) return Fail(catalogue.error());
  json recordings = json::array();
  for (const auto& r : catalogue->recordings) {
    recordings.push_back({{"file", r.file},
                          {"encoding", sensors::EncodingName(r.encoding)},
                          {"sample_rate_hz", r.sample_rate_hz},
                          {"channels", r.channels},
                          {"channel_names", r.channel_names},
                          {"units", r.units},
                          {"samples", r.samples},
                          {"seconds", static_cast<double>(r.samples) / r.sample_rate_hz},
                          {"label", r.label},
                          {"faulty", r.faulty},
                          {"conditions", ToJson(r.conditions)}});
  }
  auto features = FeatureSummary(*catalogue, options);
  if (!features) return Fail(features.error());
  return json{
      {"dir", options.dir},       {"recordings", recordings}, {"plan", PlanOf(*catalogue, options)},
      {"window", options.window}, {"hop", options.hop},       {"features", *features}};
}

}  // namespace edgeloop::recordings
