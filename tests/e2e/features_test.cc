// One implementation of the signal path: the features that arrive in the stream, after gateway,
// store, Sparkplug, bridge and broker, are bit for bit those that core computes from the samples.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <filesystem>

#include "contracts/model_file/model_spec.h"
#include "core/node/node.h"
#include "tests/live/live_site.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::live {
namespace {

struct AlignedWorkspace {
  explicit AlignedWorkspace(size_t bytes) : storage(bytes + 16) {
    void* start = storage.data();
    size_t space = storage.size();
    std::align(16, bytes, start, space);
    view = {static_cast<std::byte*>(start), bytes};
  }
  std::vector<std::byte> storage;
  std::span<std::byte> view;
};

// The windows of a segment as core sees them.
std::vector<std::vector<float>> ComputeFeatures(sensors::Source& source,
                                                const sensors::Segment& segment,
                                                const model::Model& model) {
  AlignedWorkspace workspace(node::Node::WorkspaceBytes(model));
  node::Node node;
  EXPECT_EQ(node::Node::Create(model, workspace.view, &node), core::Code::kOk);
  EXPECT_TRUE(source.Begin(segment));
  std::vector<std::vector<float>> windows;
  std::vector<float> block(1000 * model.channels());
  for (;;) {
    const auto frames = source.Read(block);
    if (!frames || *frames == 0) return windows;
    std::span<const float> rest(block.data(), *frames * model.channels());
    while (!rest.empty()) {
      node::WindowResult result;
      bool done = false;
      rest = rest.subspan(node.Push(rest, &result, &done) * model.channels());
      if (done) windows.emplace_back(result.features.begin(), result.features.end());
    }
  }
}

TEST(FeaturesTest, TheStreamHoldsTheVeryBitsThatCoreComputes) {
  auto source = sensors::CreateMotorSource({});
  ASSERT_TRUE(source) << source.error().ToString();
  const sensors::Format format = (*source)->format();

  site::Options options = LiveSite::OptionsFor(1, {{"type", "motor"}});
  auto started = LiveSite::Start(options);
  ASSERT_TRUE(started) << started.error().ToString();
  LiveSite& live = **started;
  const std::string device = live.devices().front();
  ASSERT_TRUE(
      live.Drain(R"({"segments":[{"id":"quiet","seed":1,"duration_s":0.1}],"loop_last":false})"));
  const auto before = live.ReadTelemetry();
  ASSERT_TRUE(before) << before.error().ToString();
  const size_t skip = before->contains(device) ? before->at(device).size() : 0;

  ASSERT_TRUE(live.Drain(
      R"({"segments":[{"id":"probe","seed":11,"duration_s":2,"speed_rpm":1480,"load":0.5,)"
      R"("fault":"inner_race","severity":0.5}],"loop_last":false})"));
  const auto telemetry = live.ReadTelemetry();
  ASSERT_TRUE(telemetry) << telemetry.error().ToString();

  const auto bytes = model_file::Write(model_file::DefaultMotorPipeline(
      format.sample_rate_hz, format.channels, static_cast<uint32_t>(options.window),
      static_cast<uint32_t>(options.hop)));
  ASSERT_TRUE(bytes) << bytes.error().ToString();
  model::Model model;
  ASSERT_EQ(model::Model::Open(*bytes, &model), core::Code::kOk);
  const sensors::Segment segment{
      .id = "probe",
      .content = sensors::MotorSegment{.seed = 11,
                                       .duration_s = 2,
                                       .speed_rpm = 1480,
                                       .load = 0.5,
                                       .fault = sensors::MotorFault::kInnerRace,
                                       .severity = 0.5,
                                       .severity_start = 0.5}};
  const auto expected = ComputeFeatures(**source, segment, model);
  ASSERT_GT(expected.size(), 5u);

  std::vector<std::vector<float>> received;
  const auto& records = telemetry->at(device);
  for (size_t i = skip; i < records.size(); ++i) {
    if (records[i].kind() != v1::FEATURES) continue;
    received.emplace_back(records[i].features().begin(), records[i].features().end());
  }
  ASSERT_EQ(received.size(), expected.size());
  for (size_t w = 0; w < expected.size(); ++w) {
    ASSERT_EQ(received[w].size(), expected[w].size());
    for (size_t f = 0; f < expected[w].size(); ++f) {
      EXPECT_EQ(std::bit_cast<uint32_t>(received[w][f]), std::bit_cast<uint32_t>(expected[w][f]))
          << "window " << w << ", feature " << f << ": " << received[w][f] << " and "
          << expected[w][f];
    }
  }
}

}  // namespace
}  // namespace edgeloop::live
