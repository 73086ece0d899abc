#include "core/node/node.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/model/model_test_support.h"

namespace edgeloop::node {
namespace {

using core::Code;
using model::Golden;
using model::IntegerNoise;
using model::Model;
using model::Scratch;

// example.elm: one channel, window 256, hop 128, alarm on 0.75, off 0.5, trip 3 of 4, opens the
// contactor. Features: ln rms, share of power below and above an eighth of Nyquist.
class NodeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(Model::Open(file_, &model_), Code::kOk);
    scratch_ = Scratch(Node::WorkspaceBytes(model_));
    ASSERT_EQ(Node::Create(model_, scratch_.span(), &node_), Code::kOk);
  }

  // Pushes in one block; every window that completes.
  std::vector<WindowResult> PushAll(std::span<const float> frames) {
    std::vector<WindowResult> windows;
    while (!frames.empty()) {
      WindowResult result;
      bool done = false;
      frames = frames.subspan(node_.Push(frames, &result, &done) * model_.channels());
      if (done) windows.push_back(result);
    }
    return windows;
  }

  std::vector<std::uint8_t> file_ = Golden("example.elm");
  Model model_;
  Scratch scratch_{0};
  Node node_;
};

TEST_F(NodeTest, WindowsAndFeaturesAreThoseOfTheModelAtAnyBlockSize) {
  const std::vector<float> samples = IntegerNoise(256 + 9 * 128 + 50, 5);
  Scratch model_scratch(model_.workspace_bytes());
  for (const std::size_t block : {1U, 7U, 128U, 200U, 256U, 5000U}) {
    ASSERT_EQ(Node::Create(model_, scratch_.span(), &node_), Code::kOk);
    std::uint64_t windows = 0;
    for (std::size_t at = 0; at < samples.size();) {
      const auto frames = std::span(samples).subspan(at, std::min(block, samples.size() - at));
      WindowResult result;
      bool done = false;
      at += node_.Push(frames, &result, &done);
      if (!done) continue;
      EXPECT_EQ(result.window_index, windows);
      const auto window = std::span(samples).subspan(windows * 128, 256);
      ASSERT_EQ(at, windows * 128 + 256);
      ASSERT_EQ(std::memcmp(result.samples.data(), window.data(), window.size_bytes()), 0);
      std::vector<float> features(model_.feature_count());
      float score = -1;
      ASSERT_EQ(model_.Features(window, model_scratch.span(), features), Code::kOk);
      ASSERT_EQ(model_.Score(features, model_scratch.span(), &score), Code::kOk);
      EXPECT_EQ(std::memcmp(result.features.data(), features.data(), result.features.size_bytes()),
                0);
      EXPECT_EQ(result.score, score);
      ++windows;
    }
    EXPECT_EQ(windows, 10U) << block;
  }
}

TEST_F(NodeTest, MultiChannelFactoryModelAgreesBitForBit) {
  file_ = Golden("factory.elm");  // 3 channels, 2048, hop 512
  SetUp();
  const std::vector<float> samples = IntegerNoise(3 * (2048 + 512), 6);
  const std::vector<WindowResult> windows = PushAll(samples);
  ASSERT_EQ(windows.size(), 2U);
  Scratch model_scratch(model_.workspace_bytes());
  std::vector<float> features(model_.feature_count());
  ASSERT_EQ(model_.Features(std::span(samples).subspan(3 * 512), model_scratch.span(), features),
            Code::kOk);
  EXPECT_EQ(
      std::memcmp(windows[1].features.data(), features.data(), features.size() * sizeof(float)), 0);
  EXPECT_EQ(windows[1].score, 0.0F);
  EXPECT_FALSE(windows[1].alarm);
}

// The decision is tested with scores of a model that only looks at the level of the signal.
class DecisionTest : public NodeTest {
 protected:
  // The level decides: the network's input is ln rms alone, logit = 8 (ln rms).
  void SetUp() override {
    // Single float layer over the example's pipeline, written by hand as docs/spec/elm.md says.
    std::vector<std::uint8_t> network = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // header
                                         3, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const float parameters[] = {0.0F, 8.0F, 0.0F, 0.0F};  // bias, weights
    const auto* p = reinterpret_cast<const std::uint8_t*>(parameters);
    network.insert(network.end(), p, p + sizeof parameters);
    file_.resize(148);  // header and pipeline
    const float normalization[] = {8.0F, 0.0F, 0.0F, 0.0F, 1.0F, 1.0F, 1.0F};
    p = reinterpret_cast<const std::uint8_t*>(normalization);
    file_.insert(file_.end(), p, p + sizeof normalization);
    file_.insert(file_.end(), network.begin(), network.end());
    file_.resize(file_.size() + 4);
    file_[72] = 0;  // hop 256: windows do not overlap
    file_[73] = 1;
    file_[8] = static_cast<std::uint8_t>(file_.size());
    file_[9] = 0;
    file_[92] = static_cast<std::uint8_t>(network.size());
    model::Seal(file_);
    NodeTest::SetUp();
  }

  // The next window, made to have this score.
  WindowResult Score(float score) {
    const float rms = std::exp(std::log(score / (1 - score)) / 8);
    std::vector<float> window(256);
    for (std::size_t i = 0; i < window.size(); ++i) window[i] = i % 2 == 0 ? rms : -rms;
    const std::vector<WindowResult> windows = PushAll(window);
    EXPECT_EQ(windows.size(), 1U);
    EXPECT_NEAR(windows.back().score, score, 1e-5);
    return windows.back();
  }
};

TEST_F(DecisionTest, HysteresisHoldsTheAlarmBetweenTheThresholds) {
  EXPECT_FALSE(Score(0.70F).alarm);
  EXPECT_TRUE(Score(0.80F).alarm);
  EXPECT_TRUE(Score(0.60F).alarm);
  EXPECT_FALSE(Score(0.45F).alarm);
  EXPECT_FALSE(Score(0.60F).alarm);
}

TEST_F(DecisionTest, TripsOnThreeOfFourAndLatches) {
  EXPECT_FALSE(Score(0.9F).trip);
  EXPECT_FALSE(Score(0.1F).trip);
  EXPECT_FALSE(Score(0.9F).trip);
  const WindowResult third = Score(0.9F);
  EXPECT_TRUE(third.trip);
  EXPECT_TRUE(third.trip_edge);
  EXPECT_TRUE(third.open_contactor);
  EXPECT_TRUE(node_.tripped());

  for (int i = 0; i < 6; ++i) {
    const WindowResult calm = Score(0.1F);
    EXPECT_FALSE(calm.alarm);
    EXPECT_TRUE(calm.trip);
    EXPECT_FALSE(calm.trip_edge);
    EXPECT_TRUE(calm.open_contactor);
  }
  node_.Reset();
  EXPECT_TRUE(node_.tripped());
  node_.ClearTrip();
  const WindowResult cleared = Score(0.1F);
  EXPECT_FALSE(cleared.trip);
  EXPECT_FALSE(cleared.open_contactor);
}

TEST_F(DecisionTest, TwoAlarmsInFourDoNotTrip) {
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(Score(i % 2 == 0 ? 0.9F : 0.1F).trip) << i;
}

TEST_F(DecisionTest, ClearTripAsksForNewEvidence) {
  for (int i = 0; i < 3; ++i) Score(0.9F);
  ASSERT_TRUE(node_.tripped());
  node_.ClearTrip();
  EXPECT_FALSE(Score(0.9F).trip);
  EXPECT_FALSE(Score(0.9F).trip);
  EXPECT_TRUE(Score(0.9F).trip_edge);
}

TEST_F(DecisionTest, ResetForgetsSamplesAndAlarmsButCountsOn) {
  Score(0.9F);
  Score(0.9F);
  WindowResult result;
  bool done = false;
  const std::vector<float> loud(255, 1.0F);
  EXPECT_EQ(node_.Push(loud, &result, &done), 255U);
  EXPECT_FALSE(done);
  node_.Reset();
  const WindowResult next = Score(0.9F);  // made of its own 256 samples alone
  EXPECT_EQ(next.window_index, 2U);
  EXPECT_TRUE(next.alarm);
  EXPECT_FALSE(next.trip);  // the first alarm since Reset()
}

TEST_F(DecisionTest, ASensorGlitchNeitherAlarmsNorClears) {
  ASSERT_TRUE(Score(0.9F).alarm);
  std::vector<float> glitch(256, 0.5F);
  glitch[64] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<WindowResult> windows = PushAll(glitch);
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(windows[0].code, Code::kNotFinite);
  EXPECT_TRUE(windows[0].features.empty());
  EXPECT_EQ(windows[0].score, 0.0F);
  EXPECT_TRUE(windows[0].alarm);
  EXPECT_FALSE(windows[0].trip);
}

TEST_F(DecisionTest, ALatchCarriesOverToAnotherModel) {
  node_.LatchTrip();
  const WindowResult result = Score(0.1F);
  EXPECT_TRUE(result.trip);
  EXPECT_TRUE(result.open_contactor);
  EXPECT_FALSE(result.trip_edge);
}

TEST_F(NodeTest, RefusesAWorkspaceThatDoesNotFit) {
  Node other;
  EXPECT_EQ(Node::Create(model_, scratch_.span().first(scratch_.span().size() - 16), &other),
            Code::kBadWorkspace);
  EXPECT_EQ(Node::Create(Model(), scratch_.span(), &other), Code::kBadSize);
  WindowResult result;
  bool done = true;
  EXPECT_EQ(Node().Push(std::vector<float>(8), &result, &done), 0U);
  EXPECT_FALSE(done);
}

}  // namespace
}  // namespace edgeloop::node
