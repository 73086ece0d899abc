#include "platform/mlops/pipeline/controller.h"

#include <algorithm>
#include <filesystem>

#include "contracts/ids/ids.h"
#include "contracts/ids/model_ref.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "core/model/model.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace edgeloop::mlops {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr int kDriftWindows = 8;  // new windows of each device between two looks
constexpr int kDriftStreak = 2;   // equal verdicts in a row before a change is reported
constexpr int kReportedFeatures = 12;

constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS models(name TEXT, version INTEGER, digest TEXT NOT NULL,"
    " size INTEGER NOT NULL, signature BLOB NOT NULL, key_id TEXT NOT NULL, snapshot TEXT NOT NULL,"
    " gated INTEGER NOT NULL, PRIMARY KEY(name, version))",
    "CREATE TABLE IF NOT EXISTS aliases(id INTEGER PRIMARY KEY AUTOINCREMENT, alias TEXT NOT NULL,"
    " name TEXT NOT NULL, version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL,"
    " state TEXT NOT NULL, step TEXT NOT NULL, note TEXT NOT NULL, snapshot TEXT NOT NULL,"
    " version INTEGER NOT NULL, rollout INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS figures(run INTEGER, name TEXT, value REAL NOT NULL,"
    " PRIMARY KEY(run, name))",
};

}  // namespace

Controller::Controller(ControllerOptions options, signing::Signer signer, ModelRegistry* registry,
                       ClockMs clock)
    : options_(std::move(options)),
      signer_(std::move(signer)),
      registry_(registry),
      clock_(std::move(clock)) {}

Expected<std::unique_ptr<Controller>> Controller::Open(ControllerOptions options,
                                                       signing::Signer signer,
                                                       ModelRegistry* registry, ClockMs clock) {
  if (!IsValidId(options.model_name)) {
    return Fail(ErrorCode::kInvalidArgument, "model.name must be 1..48 characters of [a-z0-9-]");
  }
  std::unique_ptr<Controller> controller(
      new Controller(std::move(options), std::move(signer), registry, std::move(clock)));
  if (Status prepared = controller->Prepare(); !prepared) return Fail(prepared.error());
  return controller;
}

Status Controller::Prepare() {
  std::error_code error;
  for (const char* part : {"/snapshots", "/models", "/runs"}) {
    std::filesystem::create_directories(options_.state_dir + part, error);
    if (error) {
      return Fail(ErrorCode::kInvalidArgument,
                  "state_dir " + options_.state_dir + ": " + error.message());
    }
  }
  const model_file::ModelSpec pipeline = model_file::DefaultMotorPipeline(
      options_.sample_rate_hz, options_.channels, options_.window, options_.hop);
  auto elm = model_file::Write(pipeline);
  if (!elm) return Fail(elm.error(), "model section");
  model::Model opened;
  if (model::Model::Open(*elm, &opened) != core::Code::kOk) {
    return Fail(ErrorCode::kInternal, "the feature pipeline does not verify");
  }
  auto database = Database::Open(options_.state_dir + "/mlops.db");
  if (!database) return Fail(database.error());
  database_ = std::move(*database);
  auto store = DatasetStore::Create(
      database_.get(), {options_.sample_rate_hz, options_.window, model_file::FeatureNames(opened)},
      options_.max_windows);
  if (!store) return Fail(store.error());
  store_.emplace(std::move(*store));
  auto outbox = Outbox::Create(database_.get());
  if (!outbox) return Fail(outbox.error());
  outbox_.emplace(*outbox);
  auto rollouts = Rollouts::Create(database_.get(), &*store_, &*outbox_, options_.rollout);
  if (!rollouts) return Fail(rollouts.error());
  rollouts_.emplace(*rollouts);
  Transaction transaction(*database_);
  for (const char* table : kTables) database_->Do(table);
  return transaction.Commit();
}

std::optional<std::string> Controller::Meta(std::string_view key) {
  return database_->SelectText("SELECT value FROM meta WHERE key=?", key);
}

void Controller::SetMeta(std::string_view key, std::string_view value) {
  if (value.empty()) {
    database_->Do("DELETE FROM meta WHERE key=?", key);
  } else {
    database_->Do("INSERT INTO meta VALUES(?,?) ON CONFLICT DO UPDATE SET value=excluded.value",
                  key, value);
  }
}

Expected<std::map<std::int32_t, std::int64_t>> Controller::Offsets(const std::string& topic) {
  Transaction transaction(*database_);
  auto offsets = store_->Offsets(topic);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return offsets;
}

Status Controller::Ingest(std::span<const StreamRecord> records) {
  Transaction transaction(*database_);
  for (const StreamRecord& record : records) {
    if (record.topic == topics::kTelemetry) {
      v1::TelemetryRecord telemetry;
      if (telemetry.ParseFromString(record.value)) {
        store_->AddTelemetry(telemetry);
        rollouts_->OnTelemetry(telemetry);
      } else {
        log::Warning("telemetry does not decode",
                     {{"partition", record.partition}, {"offset", record.offset}});
      }
    } else if (record.topic == topics::kLabels) {
      v1::Label label;
      if (label.ParseFromString(record.value)) {
        store_->AddLabel(label);
      } else {
        log::Warning("label does not decode", {{"offset", record.offset}});
      }
    }
    store_->SetOffset(record.topic, record.partition, record.offset + 1);
  }
  return transaction.Commit();
}

Expected<bool> Controller::Tick() {
  std::optional<RunView> run;
  {
    Transaction transaction(*database_);
    if (store_->CompleteSubmissions() > 0) SetMeta("labels_ready", "1");
    const std::int64_t now_ms = clock_();
    if (const auto changed = rollouts_->Advance(now_ms)) OnRolloutChanged(*changed);
    if (!ActiveRun() && !rollouts_->Running()) {
      MaybeStartRun();
      if (const auto champion = Champion()) rollouts_->Reconcile(*champion, now_ms);
    }
    run = ActiveRun();
    if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  }
  if (Status checked = CheckDrift(); !checked) return Fail(checked.error());
  if (Status applied = ApplyAliases(); !applied) return Fail(applied.error());
  if (!run || run->step == "all" || (run->step == "canary" && run->rollout != 0)) return false;
  if (Status stepped = RunStep(*run); !stepped) return Fail(stepped.error());
  return true;
}

Status Controller::CheckDrift() {
  std::optional<SignedModel> champion;
  std::string snapshot_hash;
  std::vector<std::pair<std::string, std::vector<std::vector<float>>>> live;
  std::int64_t newest = 0;
  {
    Transaction transaction(*database_);
    champion = Champion();
    newest = database_->SelectInt("SELECT COALESCE(max(id), 0) FROM windows").value_or(0);
    if (!champion) return transaction.Commit();
    snapshot_hash = database_
                        ->SelectText("SELECT snapshot FROM models WHERE name=? AND version=?",
                                     champion->name, champion->version)
                        .value_or("");
    const auto devices = rollouts_->ActiveDevices();
    const bool changed = champion->digest != monitor_digest_;
    if (!changed && newest < drift_checked_at_ + kDriftWindows * std::ssize(devices)) {
      return transaction.Commit();
    }
    for (const DeviceState& device : devices) {
      live.emplace_back(device.device, store_->RecentWindows(device.device, champion->digest,
                                                             options_.drift.live_windows));
    }
    if (Status committed = transaction.Commit(); !committed) return committed;
  }
  drift_checked_at_ = newest;
  std::string note;
  if (champion->digest != monitor_digest_) {
    monitor_.reset();
    monitor_digest_ = champion->digest;
    drift_streak_ = 0;
    if (snapshot_hash.empty()) {
      note = "the champion was imported: there is no data set to compare with";
    } else {
      auto snapshot = LoadSnapshot(options_.state_dir + "/snapshots", snapshot_hash);
      if (!snapshot) return Fail(snapshot.error());
      auto monitor = DriftMonitor::Create(*snapshot, options_.drift);
      if (monitor) {
        monitor_.emplace(std::move(*monitor));
      } else {
        note = monitor.error().message();
      }
    }
  }
  DriftView view{.monitored = monitor_.has_value(), .note = std::move(note)};
  if (monitor_) {
    for (const auto& [device, windows] : live) {
      view.devices.push_back(monitor_->Evaluate(device, windows));
    }
    view.fleet = monitor_->Judge(view.devices);
  }
  Transaction transaction(*database_);
  const bool reported = Meta("drift_now") == champion->digest;
  drift_streak_ = view.fleet.drifted != reported ? drift_streak_ + 1 : 0;
  if (drift_streak_ >= kDriftStreak) {
    drift_streak_ = 0;
    v1::PipelineEvent event;
    event.set_run("drift");
    event.set_step("drift");
    event.set_state(view.fleet.drifted ? v1::PipelineEvent::SUCCEEDED : v1::PipelineEvent::SKIPPED);
    event.set_reason(view.fleet.drifted ? "drift detected" : "drift ended");
    event.set_model_name(champion->name);
    event.set_model_version(champion->version);
    auto& figures = *event.mutable_figures();
    figures["devices_active"] = view.fleet.devices_active;
    figures["devices_drifted"] = view.fleet.devices_drifted;
    for (std::size_t i = 0; i < view.fleet.features.size() && i < kReportedFeatures; ++i) {
      event.add_features(view.fleet.features[i].name);
      figures["psi." + view.fleet.features[i].name] = view.fleet.features[i].psi;
    }
    Emit(&event);
    SetMeta("drift_now", view.fleet.drifted ? champion->digest : "");
    if (view.fleet.drifted) SetMeta("drift_since", champion->digest);
    log::Info(event.reason(), {{"devices_drifted", view.fleet.devices_drifted},
                               {"devices_active", view.fleet.devices_active}});
  }
  view.drifted = Meta("drift_now") == champion->digest;
  view.since_training = Meta("drift_since") == champion->digest;
  drift_view_ = std::move(view);
  return transaction.Commit();
}

void Controller::QueueAlias(const std::string& alias, const SignedModel& model) {
  database_->Do("INSERT INTO aliases(alias, name, version) VALUES(?,?,?)", alias, model.name,
                model.version);
}

Status Controller::ApplyAliases() {
  while (true) {
    std::int64_t id = 0;
    std::string alias;
    std::optional<SignedModel> model;
    {
      Transaction transaction(*database_);
      std::string name;
      std::uint32_t version = 0;
      {
        Query query =
            database_->Select("SELECT id, alias, name, version FROM aliases ORDER BY id LIMIT 1");
        if (!query.Next()) return {};
        id = query.Int(0);
        alias = query.Text(1);
        name = query.Text(2);
        version = static_cast<std::uint32_t>(query.Int(3));
      }
      model = FindModel(name, version);
    }
    if (model) {
      // Repeated at the next tick when the registry is away.
      if (Status set = registry_->SetAlias(model->name, alias, model->version); !set) return set;
    }
    Transaction transaction(*database_);
    database_->Do("DELETE FROM aliases WHERE id=?", id);
    if (model) {
      v1::ModelEvent event;
      event.set_type(v1::ModelEvent::ALIASED);
      event.set_alias(alias);
      Emit(&event, *model);
    }
    if (Status committed = transaction.Commit(); !committed) return committed;
  }
}

void Controller::Emit(v1::PipelineEvent* event) {
  event->set_at_ns(static_cast<std::uint64_t>(clock_()) * kNsPerMs);
  outbox_->Add(topics::kPipelines, event->run(), "edgeloop.v1.PipelineEvent", event->at_ns(),
               event->SerializeAsString());
}

void Controller::Emit(v1::ModelEvent* event, const SignedModel& model) {
  event->set_name(model.name);
  event->set_version(model.version);
  event->set_digest(model.digest);
  event->set_by("mlops");
  event->set_at_ns(static_cast<std::uint64_t>(clock_()) * kNsPerMs);
  event->set_snapshot(database_
                          ->SelectText("SELECT snapshot FROM models WHERE name=? AND version=?",
                                       model.name, model.version)
                          .value_or(""));
  outbox_->Add(topics::kModels, model.name, "edgeloop.v1.ModelEvent", event->at_ns(),
               event->SerializeAsString());
}

Expected<SignedModel> Controller::Sign(const std::string& name, std::uint32_t version,
                                       std::span<const std::uint8_t> elm) const {
  SignedModel model{.name = name,
                    .version = version,
                    .digest = signing::Sha256Digest(elm),
                    .size = elm.size(),
                    .signature = {},
                    .key_id = signer_.key_id()};
  auto signature =
      signer_.Sign(ModelSigningText({model.name, model.version, model.digest, model.size}));
  if (!signature) return Fail(signature.error(), "sign");
  model.signature = std::move(*signature);
  return model;
}

Expected<std::string> Controller::ReadModel(const SignedModel& model) const {
  return process::ReadWholeFile(options_.state_dir + "/models/" + model.digest.substr(7) + ".elm",
                                model::kMaxModelBytes);
}

void Controller::InsertModel(const SignedModel& model, const std::string& snapshot, bool gated) {
  database_->Do("INSERT OR IGNORE INTO models VALUES(?,?,?,?,?,?,?,?)", model.name, model.version,
                model.digest, model.size, Blob(model.signature), model.key_id, snapshot, gated);
  v1::ModelEvent event;
  event.set_type(v1::ModelEvent::PUBLISHED);
  Emit(&event, model);
}

std::optional<SignedModel> Controller::FindModel(const std::string& name, std::uint32_t version) {
  Query query = database_->Select(
      "SELECT digest, size, signature, key_id FROM models WHERE name=? AND version=?", name,
      version);
  if (!query.Next()) return std::nullopt;
  return SignedModel{name,           version,
                     query.Text(0),  static_cast<std::uint64_t>(query.Int(1)),
                     query.Bytes(2), query.Text(3)};
}

Expected<std::uint32_t> Controller::NextVersion(const std::string& name) {
  auto latest = registry_->LatestVersion(name);
  if (!latest) return Fail(latest.error());
  Transaction transaction(*database_);
  const auto known =
      database_->SelectInt("SELECT COALESCE(max(version), 0) FROM models WHERE name=?", name);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return std::max(*latest, static_cast<std::uint32_t>(known.value_or(0))) + 1;
}

std::optional<SignedModel> Controller::Champion() {
  Transaction transaction(*database_);
  const auto version = Meta("champion");
  std::optional<SignedModel> model;
  if (version) {
    model = FindModel(Meta("champion_name").value_or(""),
                      static_cast<std::uint32_t>(std::stoul(*version)));
  }
  return transaction.Commit() ? model : std::nullopt;
}

Status Controller::RequestRun(const std::string& reason) {
  Transaction transaction(*database_);
  SetMeta("run_requested", reason.empty() ? "requested" : "requested: " + reason);
  return transaction.Commit();
}

Expected<std::int64_t> Controller::RequestRollout(const std::string& name, std::uint32_t version,
                                                  bool force) {
  Transaction transaction(*database_);
  const std::optional<SignedModel> model = FindModel(name, version);
  if (!model) {
    return Fail(ErrorCode::kNotFound, "no model " + name + " version " + std::to_string(version) +
                                          " was published from here");
  }
  const bool gated = database_->SelectInt("SELECT gated FROM models WHERE name=? AND version=?",
                                          name, version) == 1;
  if (!gated && !force) {
    return Fail(ErrorCode::kInvalidArgument,
                "this model has not passed the gate; \"force\": true rolls it out nevertheless");
  }
  if (ActiveRun())
    return Fail(ErrorCode::kUnavailable, "a pipeline run is active; wait for its end");
  auto id = rollouts_->Begin(*model, "", clock_());
  if (!id) return id;
  v1::PipelineEvent event;
  event.set_run("rollout-" + std::to_string(*id));
  event.set_step("canary");
  event.set_state(v1::PipelineEvent::STARTED);
  event.set_reason(force ? "requested, forced" : "requested");
  event.set_model_name(name);
  event.set_model_version(version);
  Emit(&event);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return id;
}

Expected<SignedModel> Controller::Import(const std::string& name,
                                         std::span<const std::uint8_t> elm) {
  model::Model opened;
  if (const core::Code code = model::Model::Open(elm, &opened); code != core::Code::kOk) {
    return Fail(ErrorCode::kCorrupt, std::string("model file: ") + core::CodeText(code));
  }
  if (opened.name() != name) {
    return Fail(ErrorCode::kInvalidArgument,
                "the model file is named '" + std::string(opened.name()) + "', not '" + name + "'");
  }
  auto model = Sign(name, opened.version(), elm);
  if (!model) return model;
  {
    Transaction transaction(*database_);
    const auto existing = FindModel(name, opened.version());
    if (existing && existing->digest != model->digest) {
      return Fail(ErrorCode::kAlreadyExists, "version " + std::to_string(opened.version()) +
                                                 " of " + name +
                                                 " is another model; give the file a new version");
    }
  }
  const std::string_view content(reinterpret_cast<const char*>(elm.data()), elm.size());
  const std::string path = options_.state_dir + "/models/" + model->digest.substr(7) + ".elm";
  if (Status written = process::WriteFileAtomically(path, content, 0444); !written) {
    return Fail(written.error());
  }
  if (Status published = registry_->Publish(*model, elm, R"({"origin":"imported"})"); !published) {
    return Fail(published.error());
  }
  Transaction transaction(*database_);
  InsertModel(*model, "", false);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return model;
}

std::vector<RolloutView> Controller::ListRollouts(int limit) {
  Transaction transaction(*database_);
  auto rollouts = rollouts_->List(limit);
  return transaction.Commit() ? rollouts : std::vector<RolloutView>();
}

DriftView Controller::Drift() {
  Transaction transaction(*database_);
  DriftView view = drift_view_;
  return transaction.Commit() ? view : DriftView();
}

std::vector<DeviceState> Controller::Devices() {
  Transaction transaction(*database_);
  auto devices = store_->Devices();
  return transaction.Commit() ? devices : std::vector<DeviceState>();
}

DatasetCounts Controller::Counts() {
  Transaction transaction(*database_);
  auto counts = store_->Counts();
  return transaction.Commit() ? counts : DatasetCounts();
}

}  // namespace edgeloop::mlops
