#include "things/gateway/sense/device_loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <list>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/fs/fault_file_system.h"
#include "things/gateway/sense/test_models.h"

namespace edgeloop::gateway {
namespace {

constexpr uint32_t kRateHz = 8'000;
constexpr uint8_t kChannels = 2;
constexpr size_t kWindow = 256;
constexpr size_t kHop = 128;

// Segment "file" says how loud: seeded noise of that amplitude, `repeat` hops after the first
// window.
class SyntheticSource final : public sensors::Source {
 public:
  sensors::Format format() const override { return {kRateHz, kChannels, {"a", "b"}, {"g", "g"}}; }
  Status Begin(const sensors::Segment& segment) override {
    const auto& replay = std::get<sensors::ReplaySegment>(segment.content);
    if (replay.file == "broken") return Fail(ErrorCode::kNotFound, "no such recording");
    amplitude_ = std::strtof(replay.file.c_str(), nullptr);
    left_ = kWindow + (replay.repeat - 1) * kHop;
    state_ = 1;
    return {};
  }
  Expected<size_t> Read(std::span<float> frames) override {
    const size_t count = std::min(left_, frames.size() / kChannels);
    for (float& sample : frames.first(count * kChannels)) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      sample = amplitude_ * (static_cast<float>(state_ >> 40) / (1 << 23) - 1.0f);
      all.push_back(sample);
    }
    left_ -= count;
    return count;
  }
  void SetEnergised(bool on) override { energised = on; }

  std::vector<float> all;  // what was ever given
  bool energised = true;

 private:
  float amplitude_ = 0;
  size_t left_ = 0;
  uint64_t state_ = 1;
};

class ManualClock final : public Clock {
 public:
  uint64_t MonotonicNs() override { return now_ns += 100'000; }  // each look takes 0.1 ms
  uint64_t UnixNs() override { return 1'700'000'000'000'000'000 + now_ns; }
  uint64_t ThreadCpuNs() override { return cpu_ns += cpu_step_ns; }
  void SleepUntil(uint64_t monotonic_ns) override {
    slept_until.push_back(monotonic_ns);
    now_ns = std::max(now_ns, monotonic_ns);
  }
  uint64_t now_ns = 1'000'000'000;
  uint64_t cpu_ns = 0;
  uint64_t cpu_step_ns = 10'000;
  std::vector<uint64_t> slept_until;
};

class CountingActuator final : public Actuator {
 public:
  Status SetOpen(bool value) override {
    if (stuck) return Fail(ErrorCode::kUnavailable, "stuck");
    open = value;
    ++moves;
    return {};
  }
  bool open = false;
  bool stuck = false;
  int moves = 0;
};

class DeviceLoopTest : public ::testing::Test {
 protected:
  void SetUp() override { NewLoop(0); }

  void NewLoop(double pace) {
    loop_.reset();
    auto store =
        RecordStore::Open(fs_, {.dir = "store", .now_ns = [this] { return clock_.UnixNs(); }});
    ASSERT_TRUE(store.has_value());
    store_ = std::move(*store);
    auto loop =
        DeviceLoop::Create({.device_id = "motor-01",
                            .pace = pace,
                            .raw_on_alarm = true,
                            .latch_path = "store/tripped"},
                           {source_, actuator_, *store_, fs_, clock_, metrics_.emplace_back()},
                           std::move(*LoadedModel::Open(WriteModel(Model(1)))));
    ASSERT_TRUE(loop.has_value()) << loop.error().ToString();
    loop_ = std::move(*loop);
  }

  // Alarms when the noise is louder than about 0.6.
  static model_file::ModelSpec Model(uint32_t version) {
    return RmsModel(kRateHz, kChannels, 10, 10, version);
  }
  static sensors::Segment Noise(const std::string& amplitude, uint32_t windows) {
    return {.id = "n" + amplitude,
            .content = sensors::ReplaySegment{.file = amplitude, .repeat = windows}};
  }
  void Play(std::vector<sensors::Segment> segments, bool loop_last = false) {
    loop_->Play(std::move(segments), loop_last);
    for (int i = 0; i < 10'000 && loop_->Step(); ++i) {
    }
  }
  std::vector<v1::TelemetryRecord> Records() {
    EXPECT_TRUE(store_->Flush().has_value());
    std::vector<StoredRecord> stored;
    EXPECT_TRUE(store_->Read(0, SIZE_MAX, SIZE_MAX, &stored).has_value());
    std::vector<v1::TelemetryRecord> records;
    for (const StoredRecord& s : stored) {
      EXPECT_TRUE(records.emplace_back().ParseFromString(s.payload));
      records.back().set_kind(static_cast<v1::RecordKind>(s.kind));
    }
    return records;
  }
  std::vector<v1::TelemetryRecord> RecordsOf(v1::RecordKind kind) {
    auto records = Records();
    std::erase_if(records, [&](const auto& r) { return r.kind() != kind; });
    return records;
  }

  fs::FaultFileSystem fs_{1};
  SyntheticSource source_;
  CountingActuator actuator_;
  ManualClock clock_;
  std::list<metrics::Registry> metrics_;
  std::unique_ptr<RecordStore> store_;
  std::unique_ptr<DeviceLoop> loop_;
};

TEST_F(DeviceLoopTest, RecordsHoldTheVeryFeaturesOfTheModel) {
  Play({Noise("0.1", 20)});
  const auto records = RecordsOf(v1::FEATURES);
  ASSERT_EQ(records.size(), 20u);
  auto reference = std::move(*LoadedModel::Open(WriteModel(Model(1))));
  const model::Model& model = reference->model();
  std::vector<float> features(model.feature_count());
  std::unique_ptr<std::byte, decltype(&std::free)> scratch(
      static_cast<std::byte*>(std::aligned_alloc(16, (model.workspace_bytes() + 15) / 16 * 16)),
      &std::free);
  for (size_t i = 0; i < records.size(); ++i) {
    const std::span<const float> window(&source_.all[i * kHop * kChannels], kWindow * kChannels);
    ASSERT_EQ(model.Features(window, {scratch.get(), model.workspace_bytes()}, features),
              core::Code::kOk);
    ASSERT_EQ(static_cast<size_t>(records[i].features_size()), features.size());
    EXPECT_EQ(
        std::memcmp(records[i].features().data(), features.data(), features.size() * sizeof(float)),
        0);
    EXPECT_EQ(records[i].window_index(), i);
    EXPECT_EQ(records[i].model_digest(), reference->digest());
    if (i > 0) {
      EXPECT_EQ(records[i].sensed_at_ns() - records[i - 1].sensed_at_ns(), kHop * 125'000u);
    }
  }
}

TEST_F(DeviceLoopTest, SegmentIntervalsHoldTheirWindows) {
  Play({Noise("0.1", 3), Noise("0.2", 4)});
  const auto records = RecordsOf(v1::FEATURES);
  const LoopStatus status = loop_->status();
  ASSERT_EQ(status.segments.size(), 2u);
  EXPECT_EQ(status.segments[0].windows, 3u);
  EXPECT_EQ(status.segments[1].windows, 4u);
  const uint64_t span_ns = (kWindow - 1) * 125'000;
  for (size_t i = 0; i < 7; ++i) {
    const SegmentProgress& segment = status.segments[i < 3 ? 0 : 1];
    EXPECT_EQ(segment.state, "done");
    EXPECT_GE(records[i].sensed_at_ns() - span_ns, segment.from_ns);
    EXPECT_LE(records[i].sensed_at_ns(), segment.to_ns);
  }
  EXPECT_LE(status.segments[0].to_ns, status.segments[1].from_ns + 125'000);
}

TEST_F(DeviceLoopTest, QuietMachinesNeverTrip) {
  Play({Noise("0.1", 200)});
  EXPECT_FALSE(actuator_.open);
  EXPECT_EQ(loop_->status().alarms, 0u);
  EXPECT_TRUE(RecordsOf(v1::ALARM).empty());
  EXPECT_TRUE(RecordsOf(v1::RAW).empty());
}

TEST_F(DeviceLoopTest, OneLoudWindowAlarmsTwoTripAndTheLatchHolds) {
  Play({Noise("0.1", 5), Noise("3", 1), Noise("0.1", 5)});
  EXPECT_EQ(loop_->status().alarms, 1u);
  EXPECT_FALSE(actuator_.open);
  ASSERT_EQ(RecordsOf(v1::RAW).size(), 1u);
  EXPECT_EQ(RecordsOf(v1::RAW)[0].raw().samples_f32le().size(), kWindow * kChannels * 4);

  Play({Noise("3", 4), Noise("0.1", 6)});
  EXPECT_TRUE(actuator_.open);
  EXPECT_FALSE(source_.energised);
  const auto alarms = RecordsOf(v1::ALARM);
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_TRUE(alarms[0].trip());
  EXPECT_TRUE(alarms[0].actuator_open());
  EXPECT_EQ(alarms[0].actuation_latency_us(), 100u);  // one look at the clock after the samples
  EXPECT_TRUE(Records().back().trip()) << "the latch opens only by command";

  loop_->ResetContactor("r1");
  while (loop_->Step()) {
  }
  EXPECT_FALSE(actuator_.open);
  EXPECT_TRUE(source_.energised);
  const auto events = RecordsOf(v1::EVENT);
  EXPECT_EQ(events.back().event().type(), v1::DeviceEvent::CONTACTOR_RESET);
  EXPECT_EQ(events.back().event().command_id(), "r1");
  Play({Noise("0.1", 5)});
  EXPECT_FALSE(Records().back().trip());
}

TEST_F(DeviceLoopTest, ARestartKeepsTheLatch) {
  Play({Noise("3", 4)});
  ASSERT_TRUE(actuator_.open);
  ASSERT_TRUE(store_->Flush().has_value());
  actuator_.open = false;
  loop_.reset();
  fs_.Crash();
  NewLoop(0);
  EXPECT_TRUE(actuator_.open);
  EXPECT_TRUE(loop_->status().contactor_open);
  Play({Noise("0.1", 3)});
  EXPECT_TRUE(actuator_.open);
}

TEST_F(DeviceLoopTest, AStuckContactorIsTriedAgain) {
  actuator_.stuck = true;
  Play({Noise("3", 4)});
  EXPECT_FALSE(loop_->status().contactor_open);
  actuator_.stuck = false;
  Play({Noise("3", 1)});
  EXPECT_TRUE(actuator_.open);
}

TEST_F(DeviceLoopTest, GlitchesNeitherAlarmNorAreRecorded) {
  Play({Noise("nan", 5), Noise("0.1", 2)});
  EXPECT_EQ(loop_->status().glitches, 5u);
  EXPECT_EQ(loop_->status().alarms, 0u);
  EXPECT_EQ(RecordsOf(v1::FEATURES).size(), 2u);
}

TEST_F(DeviceLoopTest, ABrokenSegmentIsSaidAndSkipped) {
  Play({Noise("broken", 1), Noise("0.1", 2)});
  const LoopStatus status = loop_->status();
  EXPECT_EQ(status.segments[0].state, "failed");
  EXPECT_FALSE(status.segments[0].error.empty());
  EXPECT_EQ(status.segments[1].windows, 2u);
}

TEST_F(DeviceLoopTest, RealTimeSleepsToTheLastSampleOfEachBlock) {
  NewLoop(1.0);
  Play({Noise("0.1", 3)});
  // The first window in one block, then a hop each.
  ASSERT_EQ(clock_.slept_until.size(), 3u);
  EXPECT_EQ(clock_.slept_until[1] - clock_.slept_until[0], kHop * 125'000);
  EXPECT_EQ(clock_.slept_until[2] - clock_.slept_until[1], kHop * 125'000);
}

TEST_F(DeviceLoopTest, ACandidateInTrialNeverMovesTheContactor) {
  std::optional<TrialOutcome> outcome;
  // Alarms on everything.
  loop_->StartTrial(
      std::move(*LoadedModel::Open(WriteModel(RmsModel(kRateHz, kChannels, 0, 9, 2)))),
      [&](const TrialOutcome& o) { outcome = o; });
  Play({Noise("0.1", 20)});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_FALSE(outcome->healthy);
  EXPECT_NE(outcome->reason.find("alarmed on 100%"), std::string::npos) << outcome->reason;
  EXPECT_FALSE(actuator_.open);
  EXPECT_EQ(loop_->status().model_version, 1u);
}

TEST_F(DeviceLoopTest, AlarmsOfTheConfirmedModelExcuseTheCandidate) {
  std::optional<TrialOutcome> outcome;
  loop_->StartTrial(std::move(*LoadedModel::Open(WriteModel(Model(2)))),
                    [&](const TrialOutcome& o) { outcome = o; });
  Play({Noise("3", 20)});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->healthy) << outcome->reason;
}

TEST_F(DeviceLoopTest, ACandidateWithoutFiniteScoresOrTooSlowIsUnhealthy) {
  auto spec = RmsModel(kRateHz, kChannels, 0, -5, 2);
  for (float& s : spec.normalization.inv_std) s = 3e38f;
  spec.normalization.clip = 3e38f;
  auto& layer = std::get<model_file::FloatNetwork>(spec.network).layers[0];
  for (size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] = i % 2 == 0 ? 3e38f : -3e38f;
  std::optional<TrialOutcome> outcome;
  loop_->StartTrial(std::move(*LoadedModel::Open(WriteModel(spec))),
                    [&](const TrialOutcome& o) { outcome = o; });
  Play({Noise("0.1", 10)});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_FALSE(outcome->healthy);
  EXPECT_NE(outcome->reason.find("finite"), std::string::npos) << outcome->reason;

  outcome.reset();
  spec = RmsModel(kRateHz, kChannels, 0, -5, 3);
  spec.health.max_compute_us = 5;
  loop_->StartTrial(std::move(*LoadedModel::Open(WriteModel(spec))),
                    [&](const TrialOutcome& o) { outcome = o; });
  Play({Noise("0.1", 10)});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_NE(outcome->reason.find("computes up to"), std::string::npos) << outcome->reason;
}

TEST_F(DeviceLoopTest, PromotionSwapsTheModelAndKeepsTheLatch) {
  Play({Noise("3", 4)});
  ASSERT_TRUE(actuator_.open);
  std::optional<TrialOutcome> outcome;
  loop_->StartTrial(
      std::move(*LoadedModel::Open(WriteModel(RmsModel(kRateHz, kChannels, 0, -5, 2)))),
      [&](const TrialOutcome& o) { outcome = o; });
  Play({Noise("0.1", 8)});
  ASSERT_TRUE(outcome && outcome->healthy);
  loop_->EndTrial(true);
  Play({Noise("0.1", 3)});
  EXPECT_EQ(loop_->status().model_version, 2u);
  EXPECT_EQ(Records().back().model_version(), 2u);
  EXPECT_TRUE(Records().back().trip());
  EXPECT_EQ(Records().back().window_index(), 14u);
}

}  // namespace
}  // namespace edgeloop::gateway
