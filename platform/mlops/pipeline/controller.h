// The loop from telemetry to a rolled-out model. One thread calls Ingest(), Tick() and Drain(); the
// API's threads call the rest. What happened is in the database, so that a killed process goes on
// where it was: each pipeline step records its result and the next step in one transaction, and may
// be repeated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/mlops/database/database.h"
#include "platform/mlops/dataset/store.h"
#include "platform/mlops/drift/monitor.h"
#include "platform/mlops/pipeline/model_registry.h"
#include "platform/mlops/pipeline/options.h"
#include "platform/mlops/rollout/outbox.h"
#include "platform/mlops/rollout/rollout.h"
#include "runtime/signing/signing.h"

namespace edgeloop::v1 {
class ModelEvent;
class PipelineEvent;
}  // namespace edgeloop::v1

namespace edgeloop::mlops {

struct StreamRecord {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string value;
};

using Figures = std::map<std::string, double>;

struct RunView {
  std::int64_t id = 0;
  std::string reason;
  std::string state;  // running, succeeded, refused, failed
  std::string step;   // the current one, or the last
  std::string note;   // why refused or failed
  std::string snapshot;
  std::uint32_t version = 0;
  std::int64_t rollout = 0;
  std::int64_t started_ms = 0;
  std::int64_t ended_ms = 0;  // 0 while running
  Figures figures;            // of all steps so far
  std::string Name() const { return "run-" + std::to_string(id); }
};

struct DriftView {
  bool monitored = false;  // there is a champion with a snapshot
  bool drifted = false;    // now
  bool since_training = false;
  std::string note;
  FleetDrift fleet;
  std::vector<DeviceDrift> devices;
};

class Controller {
 public:
  using ClockMs = std::function<std::int64_t()>;  // Unix time
  static Expected<std::unique_ptr<Controller>> Open(ControllerOptions options,
                                                    signing::Signer signer, ModelRegistry* registry,
                                                    ClockMs clock);

  // Where to go on reading.
  Expected<std::map<std::int32_t, std::int64_t>> Offsets(const std::string& topic);
  // Takes a batch of edgeloop.telemetry and edgeloop.labels, all or nothing.
  Status Ingest(std::span<const StreamRecord> records);
  // Does what is due: joins labels, looks for drift, moves a run and a rollout on by one step.
  // True when there is more to do at once.
  Expected<bool> Tick();
  Status Drain(const std::function<Status(const OutboxMessage&)>& send) {
    return outbox_->Drain(send);
  }

  // Any thread.
  Status RequestRun(const std::string& reason);
  Expected<std::int64_t> RequestRollout(const std::string& name, std::uint32_t version, bool force);
  // Signs and publishes a model made elsewhere.
  Expected<SignedModel> Import(const std::string& name, std::span<const std::uint8_t> elm);

  std::vector<RunView> Runs(int limit);
  std::vector<RolloutView> ListRollouts(int limit);
  DriftView Drift();
  std::optional<SignedModel> Champion();
  std::vector<DeviceState> Devices();
  DatasetCounts Counts();

 private:
  Controller(ControllerOptions options, signing::Signer signer, ModelRegistry* registry,
             ClockMs clock);
  Status Prepare();

  // controller.cc
  std::optional<std::string> Meta(std::string_view key);
  void SetMeta(std::string_view key, std::string_view value);
  std::optional<SignedModel> FindModel(const std::string& name, std::uint32_t version);
  Status CheckDrift();
  Status ApplyAliases();
  void QueueAlias(const std::string& alias, const SignedModel& model);
  void Emit(v1::PipelineEvent* event);
  void Emit(v1::ModelEvent* event, const SignedModel& model);
  Expected<std::uint32_t> NextVersion(const std::string& name);
  Expected<SignedModel> Sign(const std::string& name, std::uint32_t version,
                             std::span<const std::uint8_t> elm) const;
  Expected<std::string> ReadModel(const SignedModel& model) const;
  void InsertModel(const SignedModel& model, const std::string& snapshot, bool gated);

  // run_steps.cc
  std::optional<RunView> ActiveRun();
  void MaybeStartRun();
  Status RunStep(const RunView& run);
  Expected<Figures> StepSnapshot(const RunView& run);
  Expected<Figures> StepTrain(const RunView& run);
  Expected<Figures> StepCompress(const RunView& run);
  Expected<Figures> StepValidate(const RunView& run, std::string* refusal);
  Expected<Figures> StepPublish(const RunView& run);
  void FinishStep(const RunView& run, const Figures& figures, const std::string& next);
  void EndRun(const RunView& run, const std::string& state, const std::string& note,
              const Figures& more);
  void OnRolloutChanged(const RolloutView& rollout);
  std::string RunDir(const RunView& run) const;

  ControllerOptions options_;
  signing::Signer signer_;
  ModelRegistry* registry_;
  ClockMs clock_;
  std::unique_ptr<Database> database_;
  std::optional<DatasetStore> store_;
  std::optional<Outbox> outbox_;
  std::optional<Rollouts> rollouts_;

  // Of the loop's thread, but for drift_view_ (under a transaction).
  std::optional<DriftMonitor> monitor_;
  std::string monitor_digest_;
  std::int64_t drift_checked_at_ = 0;  // newest window then
  int drift_streak_ = 0;               // equal verdicts in a row that differ from the reported one
  DriftView drift_view_;
};

}  // namespace edgeloop::mlops
