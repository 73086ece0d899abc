// Brings a published model to the fleet: canary devices first, watched for a while, then the rest.
// Every state is in the database, so a rollout goes on where a killed process left it; every
// command has one id and is repeated until the device answers.
//
//   canary --all canaries confirmed--> observe --enough windows, no alarm jump--> all --> done
//     \-- rejected, reverted, timeout --> failed  <-- alarm jump --/        \-- half reverted -->
//     failed
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/mlops/database/database.h"
#include "platform/mlops/dataset/store.h"
#include "platform/mlops/rollout/outbox.h"

namespace edgeloop::v1 {
class TelemetryRecord;
}

namespace edgeloop::mlops {

struct RolloutOptions {
  int canary_devices = 1;
  int observe_windows = 32;      // of each canary, under the new model, before the rest follows
  double max_alarm_jump = 0.25;  // alarm share of a canary above its share before the update
  std::int64_t confirm_timeout_ms = 120'000;
  std::int64_t resend_ms = 5'000;
  // A device counts as part of the fleet when it was heard of this shortly before the newest
  // record.
  std::int64_t active_within_ms = 600'000;
};

struct SignedModel {
  std::string name;
  std::uint32_t version = 0;
  std::string digest;
  std::uint64_t size = 0;
  std::vector<std::uint8_t> signature;
  std::string key_id;
};

struct RolloutView {
  std::int64_t id = 0;
  std::string run;  // pipeline run, or "rollout-<id>"
  SignedModel model;
  std::string state;  // canary, observe, all, done, failed
  std::string reason;
  struct Device {
    std::string device;
    bool canary = false;
    std::string state;  // waiting, commanded, confirmed, failed
    std::string reason;
  };
  std::vector<Device> devices;
  int Updated() const;  // confirmed devices
};

class Rollouts {
 public:
  static Expected<Rollouts> Create(Database* database, DatasetStore* store, Outbox* outbox,
                                   RolloutOptions options);

  // All inside a Transaction of the caller.

  // The id of the new rollout; kUnavailable while another one runs or no device is known.
  Expected<std::int64_t> Begin(const SignedModel& model, const std::string& run,
                               std::int64_t now_ms);
  // Model events of devices.
  void OnTelemetry(const v1::TelemetryRecord& record);
  // Moves the running rollout on; returns it when its state changed.
  std::optional<RolloutView> Advance(std::int64_t now_ms);
  // Without a running rollout: devices that run something else are sent the champion. A device that
  // refused it is left alone until the champion changes.
  void Reconcile(const SignedModel& champion, std::int64_t now_ms);

  std::optional<RolloutView> Running();
  std::optional<RolloutView> Get(std::int64_t id);
  std::vector<RolloutView> List(int limit);
  // Devices heard of lately.
  std::vector<DeviceState> ActiveDevices();

 private:
  Rollouts(Database* database, DatasetStore* store, Outbox* outbox, RolloutOptions options)
      : database_(database), store_(store), outbox_(outbox), options_(options) {}
  void SendUpdate(const std::string& device, const std::string& command_id,
                  const SignedModel& model, std::int64_t now_ms);
  void CommandWaiting(const RolloutView& rollout, bool canary, std::int64_t now_ms);
  void SetState(std::int64_t id, const std::string& state, const std::string& reason,
                std::int64_t now_ms);
  std::string ObserveCanaries(const RolloutView& rollout, bool* done);

  Database* database_;
  DatasetStore* store_;
  Outbox* outbox_;
  RolloutOptions options_;
};

}  // namespace edgeloop::mlops
