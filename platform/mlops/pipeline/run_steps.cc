// The steps of a pipeline run: snapshot, train, compress, validate, publish, canary, all.
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "platform/mlops/compress/quantize.h"
#include "platform/mlops/pipeline/controller.h"
#include "platform/mlops/validate/gate.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace edgeloop::mlops {
namespace {

using nlohmann::json;

std::string_view AsText(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const std::uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void AddEvaluation(const Evaluation& evaluation, const std::string& prefix, Figures* figures) {
  (*figures)[prefix + "f1"] = evaluation.f1;
  (*figures)[prefix + "precision"] = evaluation.precision;
  (*figures)[prefix + "recall"] = evaluation.recall;
  (*figures)[prefix + "false_alarm_rate"] = evaluation.false_alarm_rate;
  (*figures)[prefix + "auc"] = evaluation.auc;
  for (const auto& [label, recall] : evaluation.label_recall) {
    (*figures)[prefix + "recall." + label] = recall;
  }
}

// Later steps have no reason to fail on input that passed earlier ones; these may pass by waiting.
bool MayPass(const Error& error) {
  return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kTimeout ||
         error.code() == ErrorCode::kResourceExhausted;
}

}  // namespace

std::string Controller::RunDir(const RunView& run) const {
  return options_.state_dir + "/runs/" + std::to_string(run.id);
}

std::vector<RunView> Controller::Runs(int limit) {
  std::vector<RunView> runs;
  Transaction transaction(*database_);
  {
    Query query = database_->Select(
        "SELECT id, reason, state, step, note, snapshot, version, rollout, started_ms, ended_ms"
        " FROM runs ORDER BY id DESC LIMIT ?",
        limit);
    while (query.Next()) {
      runs.push_back({.id = query.Int(0),
                      .reason = query.Text(1),
                      .state = query.Text(2),
                      .step = query.Text(3),
                      .note = query.Text(4),
                      .snapshot = query.Text(5),
                      .version = static_cast<std::uint32_t>(query.Int(6)),
                      .rollout = query.Int(7),
                      .started_ms = query.Int(8),
                      .ended_ms = query.Int(9),
                      .figures = {}});
    }
  }
  for (RunView& run : runs) {
    Query query = database_->Select("SELECT name, value FROM figures WHERE run=?", run.id);
    while (query.Next()) run.figures[query.Text(0)] = query.Real(1);
  }
  return transaction.Commit() ? runs : std::vector<RunView>();
}

std::optional<RunView> Controller::ActiveRun() {
  // Runs follow one another: only the newest can be active.
  std::vector<RunView> runs = Runs(1);
  if (runs.empty() || runs.front().state != "running") return std::nullopt;
  return std::move(runs.front());
}

void Controller::MaybeStartRun() {
  const auto requested = Meta("run_requested");
  const bool labels = Meta("labels_ready").has_value();
  const auto champion = Champion();
  const bool drifted = champion && Meta("drift_since") == champion->digest;
  std::string reason;
  if (requested) {
    reason = *requested;
  } else if (labels && !champion) {
    reason = "first labels";
  } else if (labels && drifted) {
    reason = "drift and new labels";
  } else {
    return;
  }
  SetMeta("run_requested", "");
  SetMeta("labels_ready", "");
  database_->Do(
      "INSERT INTO runs(reason, state, step, note, snapshot, version, rollout, started_ms, "
      "ended_ms)"
      " VALUES(?, 'running', 'snapshot', '', '', 0, 0, ?, 0)",
      reason, clock_());
  RunView run{.id = database_->LastInsertId()};
  v1::PipelineEvent event;
  event.set_run(run.Name());
  event.set_state(v1::PipelineEvent::STARTED);
  event.set_reason(reason);
  event.set_model_name(options_.model_name);
  Emit(&event);
  log::Info("run started", {{"run", run.Name()}, {"reason", reason}});
}

Status Controller::RunStep(const RunView& run) {
  std::string refusal;
  std::string next;
  Expected<Figures> figures = Figures();
  if (run.step == "snapshot") {
    next = "train";
    figures = StepSnapshot(run);
  } else if (run.step == "train") {
    next = "compress";
    figures = StepTrain(run);
  } else if (run.step == "compress") {
    next = "validate";
    figures = StepCompress(run);
  } else if (run.step == "validate") {
    next = "publish";
    figures = StepValidate(run, &refusal);
  } else if (run.step == "publish") {
    next = "canary";
    figures = StepPublish(run);
  } else {  // canary, whose rollout has not begun
    Transaction transaction(*database_);
    const auto model = FindModel(options_.model_name, run.version);
    if (!model) return Fail(ErrorCode::kInternal, run.Name() + ": its model is gone");
    auto rollout = rollouts_->Begin(*model, run.Name(), clock_());
    if (!rollout) return Fail(rollout.error());
    database_->Do("UPDATE runs SET rollout=? WHERE id=?", *rollout, run.id);
    return transaction.Commit();
  }
  malloc_trim(0);  // training takes memory that the rest of the day does not need
  if (!figures && MayPass(figures.error())) return Fail(figures.error());
  Transaction transaction(*database_);
  if (!figures) {
    EndRun(run, "failed", figures.error().message(), {});
  } else if (!refusal.empty()) {
    EndRun(run, "refused", refusal, *figures);
  } else {
    FinishStep(run, *figures, next);
  }
  return transaction.Commit();
}

void Controller::FinishStep(const RunView& run, const Figures& figures, const std::string& next) {
  for (const auto& [name, value] : figures) {
    database_->Do(
        "INSERT INTO figures VALUES(?,?,?) ON CONFLICT DO UPDATE SET value=excluded.value", run.id,
        name, value);
  }
  database_->Do("UPDATE runs SET step=? WHERE id=?", next, run.id);
  v1::PipelineEvent event;
  event.set_run(run.Name());
  event.set_step(run.step);
  event.set_state(v1::PipelineEvent::SUCCEEDED);
  event.set_model_name(options_.model_name);
  event.set_model_version(run.version);
  event.mutable_figures()->insert(figures.begin(), figures.end());
  Emit(&event);
  event.clear_figures();
  event.set_step(next);
  event.set_state(v1::PipelineEvent::STARTED);
  Emit(&event);
  log::Info("step done", {{"run", run.Name()}, {"step", run.step}});
}

void Controller::EndRun(const RunView& run, const std::string& state, const std::string& note,
                        const Figures& more) {
  for (const auto& [name, value] : more) {
    database_->Do(
        "INSERT INTO figures VALUES(?,?,?) ON CONFLICT DO UPDATE SET value=excluded.value", run.id,
        name, value);
  }
  database_->Do("UPDATE runs SET state=?, note=?, ended_ms=? WHERE id=?", state, note, clock_(),
                run.id);
  v1::PipelineEvent event;
  event.set_run(run.Name());
  event.set_reason(note);
  event.set_model_name(options_.model_name);
  event.set_model_version(run.version);
  Query query = database_->Select("SELECT name, value FROM figures WHERE run=?", run.id);
  while (query.Next()) (*event.mutable_figures())[query.Text(0)] = query.Real(1);
  const bool succeeded = state == "succeeded";
  event.set_state(succeeded ? v1::PipelineEvent::SUCCEEDED : v1::PipelineEvent::FAILED);
  event.set_step(run.step);
  Emit(&event);
  event.clear_step();
  Emit(&event);
  std::error_code ignored;
  std::filesystem::remove_all(RunDir(run), ignored);
  log::Info("run ended", {{"run", run.Name()}, {"state", state}, {"note", note}});
}

Expected<Figures> Controller::StepSnapshot(const RunView& run) {
  Transaction transaction(*database_);
  const Snapshot snapshot = store_->Build();
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  auto hash = SaveSnapshot(options_.state_dir + "/snapshots", snapshot);
  if (!hash) return Fail(hash.error());
  // The version is part of the model's bytes, so it is chosen before the training.
  auto version = NextVersion(options_.model_name);
  if (!version) return Fail(version.error());
  Transaction record(*database_);
  database_->Do("UPDATE runs SET snapshot=?, version=? WHERE id=?", *hash, *version, run.id);
  if (Status committed = record.Commit(); !committed) return Fail(committed.error());
  std::int64_t training = 0;
  for (const Row& row : snapshot.rows) training += row.purpose == Purpose::kTraining;
  return Figures{{"training_rows", static_cast<double>(training)},
                 {"validation_rows", static_cast<double>(std::ssize(snapshot.rows) - training)}};
}

Expected<Figures> Controller::StepTrain(const RunView& run) {
  auto snapshot = LoadSnapshot(options_.state_dir + "/snapshots", run.snapshot);
  if (!snapshot) return Fail(snapshot.error());
  auto trained = Train(*snapshot,
                       model_file::DefaultMotorPipeline(options_.sample_rate_hz, options_.channels,
                                                        options_.window, options_.hop),
                       options_.model_name, run.version, options_.train);
  if (!trained) return Fail(trained.error());
  auto elm = model_file::Write(trained->spec);
  if (!elm) return Fail(elm.error());
  std::error_code ignored;
  std::filesystem::create_directories(RunDir(run), ignored);
  if (Status written = process::WriteFileAtomically(RunDir(run) + "/float.elm", AsText(*elm));
      !written) {
    return Fail(written.error());
  }
  const TrainReport& report = trained->report;
  return Figures{{"healthy_rows", static_cast<double>(report.healthy_rows)},
                 {"faulty_rows", static_cast<double>(report.faulty_rows)},
                 {"iterations", report.fit.iterations},
                 {"gradient", report.fit.gradient},
                 {"log_likelihood", report.fit.log_likelihood},
                 {"separable", report.fit.separable ? 1 : 0},
                 {"alarm_on", report.thresholds.alarm_on},
                 {"alarm_off", report.thresholds.alarm_off},
                 {"held_out_recall", report.held_out_recall},
                 {"held_out_false_alarm_rate", report.held_out_false_alarm_rate}};
}

Expected<Figures> Controller::StepCompress(const RunView& run) {
  auto snapshot = LoadSnapshot(options_.state_dir + "/snapshots", run.snapshot);
  if (!snapshot) return Fail(snapshot.error());
  auto bytes = process::ReadWholeFile(RunDir(run) + "/float.elm", model::kMaxModelBytes);
  if (!bytes) return Fail(bytes.error());
  auto spec = model_file::Read(AsBytes(*bytes));
  if (!spec) return Fail(spec.error());
  auto compressed = Quantize(*spec, *snapshot);
  if (!compressed) return Fail(compressed.error());
  if (Status written =
          process::WriteFileAtomically(RunDir(run) + "/int8.elm", AsText(compressed->elm));
      !written) {
    return Fail(written.error());
  }
  return Figures{{"float_bytes", static_cast<double>(compressed->float_bytes)},
                 {"int8_bytes", static_cast<double>(compressed->elm.size())},
                 {"max_score_difference", compressed->agreement.max_score_difference},
                 {"mean_score_difference", compressed->agreement.mean_score_difference},
                 {"decision_flips", static_cast<double>(compressed->agreement.decision_flips)}};
}

Expected<Figures> Controller::StepValidate(const RunView& run, std::string* refusal) {
  auto snapshot = LoadSnapshot(options_.state_dir + "/snapshots", run.snapshot);
  if (!snapshot) return Fail(snapshot.error());
  auto elm = process::ReadWholeFile(RunDir(run) + "/int8.elm", model::kMaxModelBytes);
  if (!elm) return Fail(elm.error());
  auto challenger = EvaluateModel(AsBytes(*elm), *snapshot);
  if (!challenger) return Fail(challenger.error());
  Figures figures;
  AddEvaluation(*challenger, "challenger_", &figures);
  figures["healthy_validation_rows"] = static_cast<double>(challenger->healthy_rows);
  figures["faulty_validation_rows"] = static_cast<double>(challenger->faulty_rows);
  std::optional<Evaluation> incumbent;
  if (const auto champion = Champion()) {
    auto bytes = ReadModel(*champion);
    if (!bytes) return Fail(bytes.error());
    auto evaluation = EvaluateModel(AsBytes(*bytes), *snapshot);
    // A champion that cannot judge these rows at all (imported, of another pipeline) is no match.
    if (evaluation) {
      incumbent = *evaluation;
      AddEvaluation(*incumbent, "champion_", &figures);
    } else {
      log::Warning("the champion cannot be compared", {{"reason", evaluation.error().message()}});
    }
  }
  const GateDecision decision = Judge(*challenger, incumbent, options_.gate);
  for (const std::string& reason : decision.reasons) {
    *refusal += (refusal->empty() ? "" : "; ") + reason;
  }
  return figures;
}

Expected<Figures> Controller::StepPublish(const RunView& run) {
  auto elm = process::ReadWholeFile(RunDir(run) + "/int8.elm", model::kMaxModelBytes);
  if (!elm) return Fail(elm.error());
  auto model = Sign(options_.model_name, run.version, AsBytes(*elm));
  if (!model) return Fail(model.error());
  if (Status written = process::WriteFileAtomically(
          options_.state_dir + "/models/" + model->digest.substr(7) + ".elm", *elm, 0444);
      !written) {
    return Fail(written.error());
  }
  const json metadata = {{"origin", "trained"},
                         {"run", run.Name()},
                         {"snapshot", run.snapshot},
                         {"feature_names", store_->schema().names},
                         {"report", run.figures}};
  if (Status published = registry_->Publish(*model, AsBytes(*elm), metadata.dump()); !published) {
    return Fail(published.error());
  }
  Transaction transaction(*database_);
  InsertModel(*model, run.snapshot, true);
  QueueAlias("challenger", *model);
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return Figures{{"size_bytes", static_cast<double>(model->size)}};
}

void Controller::OnRolloutChanged(const RolloutView& rollout) {
  log::Info("rollout", {{"rollout", rollout.id},
                        {"state", rollout.state},
                        {"version", rollout.model.version},
                        {"reason", rollout.reason}});
  const Figures figures = {{"devices_updated", rollout.Updated()},
                           {"devices", static_cast<double>(rollout.devices.size())}};
  const auto run = ActiveRun();
  const bool of_run = run && run->rollout == rollout.id;
  if (rollout.state == "done") {
    SetMeta("champion", std::to_string(rollout.model.version));
    SetMeta("champion_name", rollout.model.name);
    QueueAlias("champion", rollout.model);
    v1::ModelEvent event;
    event.set_type(v1::ModelEvent::ROLLED_OUT);
    Emit(&event, rollout.model);
  } else if (rollout.state == "failed") {
    v1::ModelEvent event;
    event.set_type(v1::ModelEvent::REVERTED);
    Emit(&event, rollout.model);
  }
  if (of_run) {
    if (rollout.state == "all") FinishStep(*run, {}, "all");
    if (rollout.state == "done") EndRun(*run, "succeeded", rollout.reason, figures);
    if (rollout.state == "failed") EndRun(*run, "failed", rollout.reason, figures);
    return;
  }
  if (rollout.state == "observe") return;
  v1::PipelineEvent event;
  event.set_run(rollout.run);
  event.set_model_name(rollout.model.name);
  event.set_model_version(rollout.model.version);
  event.set_reason(rollout.reason);
  event.mutable_figures()->insert(figures.begin(), figures.end());
  event.set_step(rollout.state == "done" ? "all" : "canary");
  event.set_state(rollout.state == "failed" ? v1::PipelineEvent::FAILED
                                            : v1::PipelineEvent::SUCCEEDED);
  Emit(&event);
}

}  // namespace edgeloop::mlops
