#include "platform/mlops/rollout/rollout.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"

namespace edgeloop::mlops {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
// The share of devices that may refuse a model in the last stage before the rollout counts as
// failed.
constexpr double kMaxFailedShare = 0.5;

constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS rollouts(id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,"
    " name TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,"
    " signature BLOB NOT NULL, key_id TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,"
    " since_ms INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS rollout_devices(rollout INTEGER NOT NULL, device TEXT NOT NULL,"
    " canary INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, sent_ms INTEGER NOT NULL,"
    " PRIMARY KEY(rollout, device))",
    "CREATE TABLE IF NOT EXISTS reconciles(device TEXT PRIMARY KEY, digest TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, sent_ms INTEGER NOT NULL, refused INTEGER NOT NULL,"
    " settled INTEGER NOT NULL)",
};

std::string CommandId(std::int64_t rollout, const SignedModel& model) {
  return "rollout-" + std::to_string(rollout) + "-v" + std::to_string(model.version) + "-" +
         model.digest.substr(model.digest.find(':') + 1, 12);
}

std::string ReconcileId(const std::string& digest, std::int64_t attempt) {
  return "reconcile-" + digest.substr(digest.find(':') + 1, 12) + "-" + std::to_string(attempt);
}

}  // namespace

int RolloutView::Updated() const {
  return static_cast<int>(
      std::ranges::count_if(devices, [](const Device& d) { return d.state == "confirmed"; }));
}

Expected<Rollouts> Rollouts::Create(Database* database, DatasetStore* store, Outbox* outbox,
                                    RolloutOptions options) {
  Transaction transaction(*database);
  for (const char* table : kTables) database->Do(table);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return Rollouts(database, store, outbox, options);
}

std::vector<DeviceState> Rollouts::ActiveDevices() {
  std::vector<DeviceState> devices = store_->Devices();
  std::uint64_t newest = 0;
  for (const DeviceState& device : devices) newest = std::max(newest, device.last_sensed_ns);
  const std::uint64_t window = static_cast<std::uint64_t>(options_.active_within_ms) * kNsPerMs;
  std::erase_if(devices,
                [&](const DeviceState& device) { return device.last_sensed_ns + window < newest; });
  return devices;
}

Expected<std::int64_t> Rollouts::Begin(const SignedModel& model, const std::string& run,
                                       std::int64_t now_ms) {
  if (Running())
    return Fail(ErrorCode::kUnavailable, "another rollout is running; wait for its end");
  const std::vector<DeviceState> devices = ActiveDevices();
  if (devices.empty()) {
    return Fail(ErrorCode::kUnavailable, "no device has been heard of; start a gateway first");
  }
  database_->Do(
      "INSERT INTO rollouts(run, name, version, digest, size, signature, key_id, state, reason,"
      " since_ms) VALUES(?,?,?,?,?,?,?,'canary','',?)",
      run, model.name, model.version, model.digest, model.size, Blob(model.signature), model.key_id,
      now_ms);
  const std::int64_t id = database_->LastInsertId();
  if (run.empty()) {
    database_->Do("UPDATE rollouts SET run=? WHERE id=?", "rollout-" + std::to_string(id), id);
  }
  int canaries = std::max(1, options_.canary_devices);
  for (const DeviceState& device : devices) {
    database_->Do("INSERT INTO rollout_devices VALUES(?,?,?,'waiting','',0)", id, device.device,
                  canaries-- > 0);
  }
  return id;
}

void Rollouts::OnTelemetry(const v1::TelemetryRecord& record) {
  if (!record.has_event()) return;
  const v1::DeviceEvent& event = record.event();
  const bool confirmed = event.type() == v1::DeviceEvent::MODEL_CONFIRMED;
  const bool refused = event.type() == v1::DeviceEvent::MODEL_REJECTED ||
                       event.type() == v1::DeviceEvent::MODEL_REVERTED;
  if (!confirmed && !refused) return;
  const std::string what =
      event.type() == v1::DeviceEvent::MODEL_REJECTED ? "rejected: " : "reverted: ";
  if (const auto rollout = Running();
      rollout && event.command_id() == CommandId(rollout->id, rollout->model)) {
    database_->Do(
        "UPDATE rollout_devices SET state=?, reason=? WHERE rollout=? AND device=? AND"
        " state='commanded'",
        confirmed ? "confirmed" : "failed", confirmed ? "" : what + event.reason(), rollout->id,
        record.device());
  }
  if (refused) {
    std::string expected;
    {
      Query query = database_->Select("SELECT digest, attempt FROM reconciles WHERE device=?",
                                      record.device());
      if (query.Next()) expected = ReconcileId(query.Text(0), query.Int(1));
    }
    if (event.command_id() == expected) {
      database_->Do("UPDATE reconciles SET refused=1 WHERE device=?", record.device());
    }
  }
}

void Rollouts::SendUpdate(const std::string& device, const std::string& command_id,
                          const SignedModel& model, std::int64_t now_ms) {
  v1::Command command;
  command.set_command_id(command_id);
  command.set_device(device);
  const std::uint64_t at_ns = static_cast<std::uint64_t>(now_ms) * kNsPerMs;
  command.set_at_ns(at_ns);
  command.set_issued_by("mlops");
  v1::UpdateModel* update = command.mutable_update_model();
  update->set_name(model.name);
  update->set_version(model.version);
  update->set_digest(model.digest);
  update->set_size(model.size);
  update->set_signature(model.signature.data(), model.signature.size());
  update->set_key_id(model.key_id);
  outbox_->Add(topics::kCommands, device, "edgeloop.v1.Command", at_ns,
               command.SerializeAsString());
}

void Rollouts::CommandWaiting(const RolloutView& rollout, bool canary, std::int64_t now_ms) {
  std::vector<std::string> due;
  {
    Query query = database_->Select(
        "SELECT device FROM rollout_devices WHERE rollout=? AND canary=? AND (state='waiting' OR"
        " (state='commanded' AND sent_ms + ? <= ?)) ORDER BY device",
        rollout.id, canary, options_.resend_ms, now_ms);
    while (query.Next()) due.push_back(query.Text(0));
  }
  for (const std::string& device : due) {
    SendUpdate(device, CommandId(rollout.id, rollout.model), rollout.model, now_ms);
    database_->Do(
        "UPDATE rollout_devices SET state='commanded', sent_ms=? WHERE rollout=? AND device=?",
        now_ms, rollout.id, device);
  }
}

void Rollouts::SetState(std::int64_t id, const std::string& state, const std::string& reason,
                        std::int64_t now_ms) {
  database_->Do("UPDATE rollouts SET state=?, reason=?, since_ms=? WHERE id=?", state, reason,
                now_ms, id);
}

std::string Rollouts::ObserveCanaries(const RolloutView& rollout, bool* done) {
  *done = true;
  for (const RolloutView::Device& device : rollout.devices) {
    if (!device.canary) continue;
    const auto now =
        store_->RecentAlarms(device.device, rollout.model.digest, false, options_.observe_windows);
    const auto before =
        store_->RecentAlarms(device.device, rollout.model.digest, true, options_.observe_windows);
    if (now.windows < options_.observe_windows) {
      *done = false;
      continue;
    }
    const double share = static_cast<double>(now.alarms) / static_cast<double>(now.windows);
    const double earlier = before.windows == 0 ? 0
                                               : static_cast<double>(before.alarms) /
                                                     static_cast<double>(before.windows);
    if (share > earlier + options_.max_alarm_jump) {
      return "canary " + device.device + " alarms on " + std::to_string(now.alarms) + " of " +
             std::to_string(now.windows) + " windows, before on " + std::to_string(before.alarms) +
             " of " + std::to_string(before.windows);
    }
  }
  return {};
}

std::optional<RolloutView> Rollouts::Advance(std::int64_t now_ms) {
  std::optional<RolloutView> rollout = Running();
  if (!rollout) return std::nullopt;
  // A device that runs the model already has nothing to answer.
  for (const RolloutView::Device& device : rollout->devices) {
    const std::optional<DeviceState> state = store_->Device(device.device);
    if (device.state != "confirmed" && device.state != "failed" && state &&
        state->digest == rollout->model.digest) {
      database_->Do("UPDATE rollout_devices SET state='confirmed' WHERE rollout=? AND device=?",
                    rollout->id, device.device);
    }
  }
  rollout = Running();
  const std::int64_t since =
      database_->SelectInt("SELECT since_ms FROM rollouts WHERE id=?", rollout->id)
          .value_or(now_ms);
  const bool timeout = now_ms >= since + options_.confirm_timeout_ms;

  int open[2] = {0, 0};  // by canary
  int failed[2] = {0, 0};
  std::string reason;
  for (const RolloutView::Device& device : rollout->devices) {
    open[device.canary] += device.state == "waiting" || device.state == "commanded";
    if (device.state == "failed") {
      ++failed[device.canary];
      if (reason.empty()) reason = device.device + " " + device.reason;
    }
  }
  if (rollout->state == "canary") {
    if (failed[1] > 0) {
      SetState(rollout->id, "failed", reason, now_ms);
    } else if (open[1] == 0) {
      SetState(rollout->id, "observe", "", now_ms);
    } else if (timeout) {
      SetState(rollout->id, "failed", "no answer from the canary within rollout.confirm_timeout_ms",
               now_ms);
    } else {
      CommandWaiting(*rollout, true, now_ms);
      return std::nullopt;
    }
  } else if (rollout->state == "observe") {
    bool done = false;
    const std::string jump = ObserveCanaries(*rollout, &done);
    if (!jump.empty()) {
      SetState(rollout->id, "failed", jump, now_ms);
    } else if (done) {
      SetState(rollout->id, "all", "", now_ms);
    } else if (timeout) {
      SetState(rollout->id, "failed", "too few windows from the canary to judge it", now_ms);
    } else {
      return std::nullopt;
    }
  } else {  // all
    if (failed[0] > kMaxFailedShare * static_cast<double>(rollout->devices.size())) {
      SetState(rollout->id, "failed", reason, now_ms);
    } else if (open[0] == 0) {
      SetState(rollout->id, "done", reason, now_ms);
    } else if (timeout) {
      // The champion reaches those that are away when they come back: see Reconcile().
      SetState(rollout->id, "done", std::to_string(open[0]) + " devices have not answered yet",
               now_ms);
    } else {
      CommandWaiting(*rollout, false, now_ms);
      return std::nullopt;
    }
  }
  return Get(rollout->id);
}

void Rollouts::Reconcile(const SignedModel& champion, std::int64_t now_ms) {
  if (Running()) return;
  for (const DeviceState& device : ActiveDevices()) {
    std::int64_t attempt = 0;
    std::int64_t sent_ms = 0;
    bool same = false;
    bool refused = false;
    bool settled = false;
    {
      Query query = database_->Select(
          "SELECT digest, attempt, sent_ms, refused, settled FROM reconciles WHERE device=?",
          device.device);
      if (query.Next()) {
        same = query.Text(0) == champion.digest;
        attempt = query.Int(1);
        sent_ms = query.Int(2);
        refused = query.Int(3) != 0;
        settled = query.Int(4) != 0;
      }
    }
    if (device.digest == champion.digest) {
      if (same && !settled) {
        database_->Do("UPDATE reconciles SET settled=1 WHERE device=?", device.device);
      }
      continue;
    }
    // A device whose model is not known yet (no window, no event) is not bothered.
    if (device.digest.empty() || (same && refused)) continue;
    const bool fresh = !same || settled;  // a new reason to send: devices ignore a repeated id
    if (!fresh && sent_ms + options_.resend_ms > now_ms) continue;
    attempt += fresh;
    database_->Do(
        "INSERT INTO reconciles VALUES(?,?,?,?,0,0) ON CONFLICT DO UPDATE SET"
        " digest=excluded.digest, attempt=excluded.attempt, sent_ms=excluded.sent_ms, refused=0,"
        " settled=0",
        device.device, champion.digest, attempt, now_ms);
    SendUpdate(device.device, ReconcileId(champion.digest, attempt), champion, now_ms);
  }
}

std::optional<RolloutView> Rollouts::Get(std::int64_t id) {
  RolloutView view;
  {
    Query query = database_->Select(
        "SELECT id, run, name, version, digest, size, signature, key_id, state, reason FROM "
        "rollouts"
        " WHERE id=?",
        id);
    if (!query.Next()) return std::nullopt;
    view = {.id = query.Int(0),
            .run = query.Text(1),
            .model = {query.Text(2), static_cast<std::uint32_t>(query.Int(3)), query.Text(4),
                      static_cast<std::uint64_t>(query.Int(5)), query.Bytes(6), query.Text(7)},
            .state = query.Text(8),
            .reason = query.Text(9),
            .devices = {}};
  }
  Query query = database_->Select(
      "SELECT device, canary, state, reason FROM rollout_devices WHERE rollout=? ORDER BY device",
      id);
  while (query.Next()) {
    view.devices.push_back({query.Text(0), query.Int(1) != 0, query.Text(2), query.Text(3)});
  }
  return view;
}

std::optional<RolloutView> Rollouts::Running() {
  const auto id =
      database_->SelectInt("SELECT id FROM rollouts WHERE state NOT IN ('done', 'failed') LIMIT 1");
  return id ? Get(*id) : std::nullopt;
}

std::vector<RolloutView> Rollouts::List(int limit) {
  std::vector<std::int64_t> ids;
  {
    Query query = database_->Select("SELECT id FROM rollouts ORDER BY id DESC LIMIT ?", limit);
    while (query.Next()) ids.push_back(query.Int(0));
  }
  std::vector<RolloutView> views;
  for (std::int64_t id : ids) views.push_back(*Get(id));
  return views;
}

}  // namespace edgeloop::mlops
