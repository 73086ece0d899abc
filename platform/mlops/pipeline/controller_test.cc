// The whole loop in one process, on features of the recorded motor: first model, drift, second
// model with fewer false alarms, third model that finds a fault the second missed.
#include "platform/mlops/pipeline/controller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "contracts/ids/model_ref.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "platform/mlops/compress/scorer.h"
#include "platform/mlops/pipeline/views.h"
#include "platform/mlops/testdata/recordings.h"

namespace edgeloop::mlops {
namespace {

constexpr std::uint64_t kHopNs = kHop * 1'000'000'000ull / kRate;
constexpr std::uint64_t kWindowNs = kWindow * 1'000'000'000ull / kRate;
constexpr int kDevices = 3;
constexpr int kMaxRounds = 400;

// The registry's network, in memory.
class MemoryRegistry final : public ModelRegistry {
 public:
  Status Publish(const SignedModel& model, std::span<const std::uint8_t> elm,
                 const std::string& metadata) override {
    if (away_) return Fail(ErrorCode::kUnavailable, "registry: away");
    blobs[model.digest].assign(elm.begin(), elm.end());
    versions[model.version] = model;
    EXPECT_TRUE(nlohmann::json::accept(metadata));
    return {};
  }
  Status SetAlias(const std::string&, const std::string& alias, std::uint32_t version) override {
    if (away_) return Fail(ErrorCode::kUnavailable, "registry: away");
    aliases[alias] = version;
    return {};
  }
  Expected<std::uint32_t> LatestVersion(const std::string&) override {
    if (away_) return Fail(ErrorCode::kUnavailable, "registry: away");
    return versions.empty() ? 0 : versions.rbegin()->first;
  }
  bool away_ = false;
  std::map<std::string, std::vector<std::uint8_t>> blobs;
  std::map<std::uint32_t, SignedModel> versions;
  std::map<std::string, std::uint32_t> aliases;
};

struct FakeDevice {
  std::string id;
  int phase = 0;
  std::uint64_t seq = 0;
  std::uint64_t now_ns = 1'000'000'000;
  std::string digest = "sha256:" + std::string(64, 'f');  // factory
  std::uint32_t version = 0;
  std::optional<Scorer> scorer;
  std::set<std::string> answered;
};

class ControllerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HaveRecordings()) GTEST_SKIP() << DataDirHint();
    std::string pattern = testing::TempDir() + "mlopsXXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    ASSERT_TRUE(signing::CreateKeyFile(dir_ + "/key", dir_ + "/pub"));
    recordings_.emplace();
    for (int i = 0; i < kDevices; ++i) {
      FakeDevice& device = devices_.emplace_back();
      device.id = "gw-01/motor-0" + std::to_string(i + 1);
      device.phase = 64 * i;
    }
    Restart();
  }
  void TearDown() override {
    controller_.reset();
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  void Restart() {
    controller_.reset();
    ControllerOptions options;
    options.state_dir = dir_ + "/state";
    auto controller =
        Controller::Open(options, std::move(signing::Signer::Load(dir_ + "/key").value()),
                         &registry_, [this] { return now_ms_; });
    ASSERT_TRUE(controller) << controller.error().ToString();
    controller_ = std::move(*controller);
  }

  void Send(const std::string& topic, const std::string& value) {
    batch_.push_back({topic, 0, offset_[topic]++, value});
  }
  v1::TelemetryRecord Next(FakeDevice& device) {
    v1::TelemetryRecord record;
    record.set_device(device.id);
    record.set_boot(1);
    record.set_seq(++device.seq);
    record.set_sensed_at_ns(device.now_ns);
    record.set_model_digest(device.digest);
    record.set_model_version(device.version);
    return record;
  }
  // Plays a part of a recording; returns how many windows alarmed. With a label, adds the interval.
  std::pair<int, int> Play(FakeDevice& device, const std::string& name, const double (&part)[2],
                           v1::Label* label = nullptr,
                           v1::Label::Purpose purpose = v1::Label::TRAINING) {
    int alarms = 0;
    const auto windows = recordings_->Windows(name, part[0], part[1], device.phase);
    const std::uint64_t from_ns = device.now_ns + 1'000;
    device.now_ns = from_ns + kWindowNs - kHopNs;
    for (const auto& window : windows) {
      device.now_ns += kHopNs;
      auto record = Next(device);
      record.set_kind(v1::FEATURES);
      record.set_window_samples(kWindow);
      record.set_sample_rate_hz(kRate);
      for (const std::string& feature : recordings_->schema().names) {
        record.add_feature_names(feature);
      }
      record.mutable_features()->Add(window.begin(), window.end());
      if (device.scorer) {
        record.set_score(device.scorer->Score(window).value());
        record.set_alarm(record.score() >= device.scorer->model().decision().alarm_on);
      }
      alarms += record.alarm();
      Send(std::string(topics::kTelemetry), record.SerializeAsString());
    }
    if (label != nullptr) {
      auto* interval = label->add_intervals();
      interval->set_device(device.id);
      interval->set_from_ns(from_ns);
      interval->set_to_ns(device.now_ns);
      interval->set_label(name.substr(8, name.size() - 13));
      interval->set_faulty(name.find("healthy") == std::string::npos);
      interval->set_purpose(purpose);
    }
    return {alarms, static_cast<int>(windows.size())};
  }
  double AlarmShare(const std::string& name) {
    int alarms = 0;
    int windows = 0;
    for (FakeDevice& device : devices_) {
      const auto [a, w] = Play(device, name, Recordings::kLive);
      alarms += a;
      windows += w;
    }
    return static_cast<double>(alarms) / windows;
  }
  // Devices whose alarms, with hysteresis, would trip on this part played from a fresh start.
  int Trips(const std::string& name, const double (&part)[2]) {
    int trips = 0;
    for (FakeDevice& device : devices_) {
      const model::DecisionParams& decision = device.scorer->model().decision();
      std::vector<int> history;
      bool tripped = false;
      for (const auto& window : recordings_->Windows(name, part[0], part[1], device.phase)) {
        const float score = device.scorer->Score(window).value();
        const bool before = !history.empty() && history.back() == 1;
        history.push_back(score >= decision.alarm_on || (before && score >= decision.alarm_off));
        const auto first = history.size() > decision.trip_window
                               ? history.end() - decision.trip_window
                               : history.begin();
        tripped = tripped || std::count(first, history.end(), 1) >= decision.trip_count;
      }
      trips += tripped;
    }
    return trips;
  }
  double PlayLabelled(const std::vector<std::string>& names, v1::Label* label) {
    int alarms = 0;
    int windows = 0;
    for (FakeDevice& device : devices_) {
      for (const std::string& name : names) {
        const auto [a, w] = Play(device, name, Recordings::kTraining, label);
        const auto [b, v] =
            Play(device, name, Recordings::kValidation, label, v1::Label::VALIDATION);
        alarms += a + b;
        windows += w + v;
      }
    }
    return static_cast<double>(alarms) / windows;
  }
  void Submit(v1::Label label, const std::string& submission) {
    label.set_submission(submission);
    Send(std::string(topics::kLabels), label.SerializeAsString());
  }

  // One round of the daemon; devices answer the commands that came out.
  void Round() {
    now_ms_ += 500;
    const Status taken = controller_->Ingest(batch_);
    ASSERT_TRUE(taken) << taken.error().ToString();
    batch_.clear();
    const auto more = controller_->Tick();
    if (!more && !registry_.away_) FAIL() << more.error().ToString();
    const Status sent = controller_->Drain([&](const OutboxMessage& message) -> Status {
      if (message.topic == topics::kCommands) {
        v1::Command command;
        EXPECT_TRUE(command.ParseFromString(message.value));
        Obey(command);
      } else if (message.topic == topics::kPipelines) {
        EXPECT_TRUE(events_.emplace_back().ParseFromString(message.value));
      }
      return {};
    });
    ASSERT_TRUE(sent);
  }
  void Obey(const v1::Command& command) {
    for (FakeDevice& device : devices_) {
      if (device.id != command.device() || !device.answered.insert(command.command_id()).second) {
        continue;
      }
      const auto& update = command.update_model();
      const auto verifier = signing::Verifier::Load({dir_ + "/pub"}).value();
      EXPECT_TRUE(verifier.Verify(
          update.key_id(),
          ModelSigningText({update.name(), update.version(), update.digest(), update.size()}),
          std::span(reinterpret_cast<const std::uint8_t*>(update.signature().data()),
                    update.signature().size())));
      auto event = Next(device);
      event.set_kind(v1::EVENT);
      event.mutable_event()->set_command_id(command.command_id());
      event.mutable_event()->set_model_digest(update.digest());
      event.mutable_event()->set_model_version(update.version());
      if (refuse_) {
        event.mutable_event()->set_type(v1::DeviceEvent::MODEL_REVERTED);
        event.mutable_event()->set_reason("alarms in trial");
      } else {
        event.mutable_event()->set_type(v1::DeviceEvent::MODEL_CONFIRMED);
        device.digest = update.digest();
        device.version = update.version();
        device.scorer.emplace(Scorer::Open(registry_.blobs.at(update.digest())).value());
      }
      Send(std::string(topics::kTelemetry), event.SerializeAsString());
    }
  }
  // Devices play `live` until the newest run is no longer running.
  RunView FinishRun(const std::string& live, std::size_t run_count, bool restart_each_round) {
    for (int i = 0; i < kMaxRounds; ++i) {
      Round();
      if (restart_each_round) Restart();
      const auto runs = controller_->Runs(100);
      if (runs.size() == run_count && runs.front().state != "running") return runs.front();
      if (i % 4 == 0) {
        for (FakeDevice& device : devices_) Play(device, live, Recordings::kLive);
      }
    }
    ADD_FAILURE() << "no end of the run: " << StatusJson(*controller_);
    return {};
  }
  RunView Commission(bool restart_each_round = false) {
    std::vector<std::string> names = {"1800rpm_healthy_00lb"};
    for (const std::string& fault : kFaults) names.push_back("1800rpm_" + fault + "_00lb");
    v1::Label label;
    PlayLabelled(names, &label);
    Round();
    Submit(label, "commissioning");
    return FinishRun("1800rpm_healthy_00lb", 1, restart_each_round);
  }
  static void Print(const char* what, const RunView& run) {
    std::printf("%s: %s %s\n", what, run.state.c_str(), run.note.c_str());
    for (const auto& [name, value] : run.figures) std::printf("  %s %.6g\n", name.c_str(), value);
  }

  std::string dir_;
  std::int64_t now_ms_ = 1'700'000'000'000;
  bool refuse_ = false;
  MemoryRegistry registry_;
  std::optional<Recordings> recordings_;
  std::vector<FakeDevice> devices_;
  std::unique_ptr<Controller> controller_;
  std::vector<StreamRecord> batch_;
  std::map<std::string, std::int64_t> offset_;
  std::vector<v1::PipelineEvent> events_;
};

TEST_F(ControllerTest, FirstModelDriftSecondModelThirdModel) {
  const RunView first = Commission();
  Print("v1", first);
  ASSERT_EQ(first.state, "succeeded") << first.note;
  EXPECT_EQ(first.reason, "first labels");
  EXPECT_EQ(registry_.aliases.at("champion"), 1u);
  EXPECT_EQ(first.figures.at("devices_updated"), kDevices);
  EXPECT_GT(first.figures.at("challenger_f1"), 0.97);

  const double healthy_v1 = AlarmShare("1800rpm_healthy_00lb");
  for (int i = 0; i < 6; ++i) {
    AlarmShare("1800rpm_healthy_00lb");
    Round();
  }
  EXPECT_LT(healthy_v1, 0.05);
  EXPECT_FALSE(controller_->Drift().drifted) << DriftJson(*controller_);
  for (const std::string& fault : kFaults) {
    const double share = AlarmShare("1800rpm_" + fault + "_00lb");
    std::printf("v1 alarms on %.2f of %s\n", share, fault.c_str());
    EXPECT_GT(share, 0.8) << fault;
    EXPECT_EQ(Trips("1800rpm_" + fault + "_00lb", Recordings::kLive), kDevices) << fault;
  }
  for (const auto* part : {&Recordings::kTraining, &Recordings::kValidation, &Recordings::kLive}) {
    EXPECT_EQ(Trips("1800rpm_healthy_00lb", *part), 0);
  }
  batch_.clear();  // shown to the model, not to the platform
  for (auto& [topic, offset] : offset_) {
    offset = controller_->Offsets(topic)->at(0);
  }

  // One faulty machine is no drift.
  for (int i = 0; i < 8; ++i) {
    Play(devices_[0], "1800rpm_inner_heavy_00lb", Recordings::kLive);
    for (int d = 1; d < kDevices; ++d) {
      Play(devices_[d], "1800rpm_healthy_00lb", Recordings::kLive);
    }
    Round();
  }
  EXPECT_FALSE(controller_->Drift().drifted);
  EXPECT_TRUE(controller_->Drift().devices[0].drifted);

  // Another speed: drift on all, false alarms.
  v1::Label label;
  PlayLabelled({"2400rpm_healthy_00lb"}, &label);
  const double false_alarms_v1 = AlarmShare("2400rpm_healthy_00lb");
  Round();
  AlarmShare("2400rpm_healthy_00lb");
  Round();
  ASSERT_TRUE(controller_->Drift().drifted) << DriftJson(*controller_);
  EXPECT_EQ(events_.back().step(), "drift");
  EXPECT_GT(events_.back().features_size(), 3);
  Submit(label, "speed");
  const RunView second = FinishRun("2400rpm_healthy_00lb", 2, false);
  Print("v2", second);
  ASSERT_EQ(second.state, "succeeded") << second.note;
  EXPECT_EQ(second.reason, "drift and new labels");
  const double false_alarms_v2 = AlarmShare("2400rpm_healthy_00lb");
  for (int i = 0; i < 4; ++i) {
    AlarmShare(i % 2 == 0 ? "1800rpm_healthy_00lb" : "2400rpm_healthy_00lb");
    Round();
  }
  EXPECT_FALSE(controller_->Drift().drifted) << DriftJson(*controller_);
  std::printf("2400 rpm healthy: v1 alarms on %.3f, v2 on %.3f\n", false_alarms_v1,
              false_alarms_v2);
  EXPECT_GT(false_alarms_v1, 0.25);
  EXPECT_LT(false_alarms_v2, 0.05);

  // Another load: some false alarms, which the third model does not raise any more.
  const std::vector<std::string> names = {"1800rpm_healthy_11lb", "2400rpm_healthy_11lb"};
  double false_alarms_before = 0;
  for (const std::string& name : names) false_alarms_before += AlarmShare(name);
  v1::Label load;
  for (int i = 0; i < 4; ++i) {
    AlarmShare("1800rpm_healthy_11lb");
    Round();
  }
  EXPECT_TRUE(controller_->Drift().drifted) << DriftJson(*controller_);
  PlayLabelled(names, &load);
  Submit(load, "load");
  const RunView third = FinishRun("1800rpm_healthy_11lb", 3, false);
  Print("v3", third);
  ASSERT_EQ(third.state, "succeeded") << third.note;
  double false_alarms_after = 0;
  for (const std::string& name : names) false_alarms_after += AlarmShare(name);
  std::printf("11 lb healthy: v2 alarms on %.3f, v3 on %.3f\n", false_alarms_before / 2,
              false_alarms_after / 2);
  EXPECT_LT(false_alarms_after, false_alarms_before / 2);
  // Faults at this load were never labelled; light imbalance is the one that is too weak without.
  for (const std::string& fault : kFaults) {
    EXPECT_EQ(Trips("1800rpm_" + fault + "_00lb", Recordings::kLive), kDevices) << fault;
    if (fault == "imbalance_light") continue;
    EXPECT_EQ(Trips("1800rpm_" + fault + "_11lb", Recordings::kLive), kDevices) << fault;
  }
  for (const char* name : {"1800rpm_healthy_00lb", "2400rpm_healthy_00lb", "1800rpm_healthy_11lb",
                           "2400rpm_healthy_11lb"}) {
    const double share = AlarmShare(name);
    std::printf("v3 alarms on %.3f of %s\n", share, name);
    EXPECT_LT(share, 0.05) << name;
    EXPECT_EQ(Trips(name, Recordings::kLive), 0) << name;
  }
  EXPECT_EQ(registry_.aliases.at("champion"), 3u);
  for (const auto& [name, version] : registry_.versions) {
    std::printf("v%u %s\n", version.version, version.digest.c_str());
  }
}

TEST_F(ControllerTest, AKillAfterEveryStepGivesTheSameModel) {
  const RunView whole = Commission();
  ASSERT_EQ(whole.state, "succeeded") << whole.note;
  const std::string digest = registry_.versions.at(1).digest;
  TearDown();
  dir_.clear();
  registry_ = MemoryRegistry();
  devices_.clear();
  batch_.clear();
  offset_.clear();
  SetUp();
  const RunView pieces = Commission(true);
  ASSERT_EQ(pieces.state, "succeeded") << pieces.note;
  EXPECT_EQ(registry_.versions.at(1).digest, digest);
  EXPECT_EQ(pieces.snapshot, whole.snapshot);
}

TEST_F(ControllerTest, WaitsForTheRegistryAndARefusedModelEndsTheRun) {
  registry_.away_ = true;
  refuse_ = true;
  std::vector<std::string> names = {"1800rpm_healthy_00lb", "1800rpm_inner_heavy_00lb"};
  v1::Label label;
  PlayLabelled(names, &label);
  Submit(label, "s");
  for (FakeDevice& device : devices_) Play(device, "1800rpm_healthy_00lb", Recordings::kLive);
  for (int i = 0; i < 5; ++i) Round();
  ASSERT_EQ(controller_->Runs(1).size(), 1u);
  EXPECT_EQ(controller_->Runs(1)[0].state, "running");
  registry_.away_ = false;
  const RunView run = FinishRun("1800rpm_healthy_00lb", 1, false);
  EXPECT_EQ(run.state, "failed");
  EXPECT_NE(run.note.find("alarms in trial"), std::string::npos) << run.note;
  EXPECT_FALSE(controller_->Champion());
  EXPECT_EQ(registry_.aliases.count("champion"), 0u);
  EXPECT_EQ(registry_.aliases.at("challenger"), 1u);
}

TEST_F(ControllerTest, AnImportedModelNeedsForceAndANewVersion) {
  ASSERT_EQ(Commission().state, "succeeded");
  model_file::ModelSpec spec = MotorPipeline();
  spec.name = "motor";
  spec.version = 9;
  auto elm = model_file::Write(spec).value();
  EXPECT_FALSE(controller_->Import("other", elm));
  const auto imported = controller_->Import("motor", elm);
  ASSERT_TRUE(imported) << imported.error().ToString();
  EXPECT_TRUE(controller_->Import("motor", elm));  // again: the same
  spec.hop = 1024;
  EXPECT_FALSE(controller_->Import("motor", model_file::Write(spec).value()));
  EXPECT_FALSE(controller_->Import("motor", std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_FALSE(controller_->RequestRollout("motor", 9, false));
  refuse_ = true;
  ASSERT_TRUE(controller_->RequestRollout("motor", 9, true));
  for (int i = 0; i < 5; ++i) Round();
  EXPECT_EQ(controller_->ListRollouts(1)[0].state, "failed");
  EXPECT_EQ(controller_->Champion()->version, 1u);
  for (const FakeDevice& device : devices_) EXPECT_EQ(device.version, 1u);
}

}  // namespace
}  // namespace edgeloop::mlops
