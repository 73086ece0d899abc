#include "things/gateway/update/update_agent.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "contracts/ids/ids.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/log/log.h"

namespace edgeloop::gateway {
namespace {

bool WorthRetrying(const Error& error) {
  return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kTimeout;
}

}  // namespace

Expected<std::unique_ptr<UpdateAgent>> UpdateAgent::Create(Options options, Parts parts) {
  ModelSlots slots(parts.fs, options.dir);
  auto state = slots.Load();
  if (!state && state.error().code() == ErrorCode::kCorrupt) {
    // Written atomically, so this is bit rot: the factory model still works.
    log::Error("model state is damaged, starting over", {{"error", state.error().message()}});
    state = ModelState{};
  }
  if (!state) return Fail(state.error());
  return std::unique_ptr<UpdateAgent>(
      new UpdateAgent(std::move(options), std::move(parts), std::move(*state)));
}

UpdateAgent::~UpdateAgent() { Stop(); }

Expected<std::unique_ptr<LoadedModel>> UpdateAgent::LoadConfirmed() {
  if (state_.confirmed) {
    auto bytes = slots_.ReadSlot(state_.confirmed->slot, state_.confirmed->model.digest);
    auto model = bytes ? Verify(state_.confirmed->model, std::move(*bytes))
                       : Expected<std::unique_ptr<LoadedModel>>(std::unexpected(bytes.error()));
    if (model) return model;
    start_reason_ = model.error().message();
    log::Error("the confirmed model cannot be used, falling back to the factory model",
               {{"error", start_reason_}});
  }
  auto bytes = fs::ReadFile(parts_.fs, options_.factory_model_path, kMaxModelBytes);
  if (!bytes) return Fail(bytes.error(), "factory model");
  auto model = LoadedModel::Open(std::move(*bytes));
  if (!model) return Fail(model.error(), "factory model " + options_.factory_model_path);
  return model;
}

void UpdateAgent::Start() {
  if (state_.update) current_ = state_.update->request.model.digest;
  thread_ = std::thread([this] { Run(); });
}

void UpdateAgent::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void UpdateAgent::Request(UpdateRequest request) {
  {
    std::lock_guard lock(mutex_);
    // It is being worked on; when it comes again afterwards, it is answered.
    if (request.model.digest == current_) return;
    next_ = std::move(request);
  }
  changed_.notify_all();
}

std::string UpdateAgent::state_name() const {
  std::lock_guard lock(mutex_);
  return phase_;
}

void UpdateAgent::Run() {
  if (!start_reason_.empty()) {
    const ModelRef lost = std::exchange(state_.confirmed, std::nullopt)->model;
    // Not an answer to a command: only said, not kept.
    if (Save()) {
      parts_.emit({"", v1::DeviceEvent::MODEL_REVERTED, lost.digest, lost.version, start_reason_});
    }
  }
  if (state_.update) {
    if (state_.update->trial) ++state_.update->interruptions;
    if (Save()) Continue();
  }
  for (;;) {
    UpdateRequest request;
    {
      std::unique_lock lock(mutex_);
      current_.clear();
      phase_ = "confirmed";
      changed_.wait(lock, [this] { return InterruptedLocked(); });
      if (stopping_) return;
      request = *std::exchange(next_, std::nullopt);
      current_ = request.model.digest;
    }
    Handle(request);
  }
}

void UpdateAgent::Handle(const UpdateRequest& request) {
  const auto answered = std::ranges::find(state_.answers, request.command_id,
                                          [](const UpdateAnswer& a) { return a.command_id; });
  if (answered != state_.answers.end()) {
    parts_.emit(*answered);
    return;
  }
  if (const std::string reason = WhyRefused(request); !reason.empty()) {
    Answer({request.command_id, v1::DeviceEvent::MODEL_REJECTED, request.model.digest,
            request.model.version, reason});
    return;
  }
  if (state_.confirmed && state_.confirmed->model.digest == request.model.digest) {
    Answer({request.command_id, v1::DeviceEvent::MODEL_CONFIRMED, request.model.digest,
            request.model.version, "is the confirmed model already"});
    return;
  }
  state_.update = UpdateInProgress{.request = request};
  if (Save()) Continue();
}

std::string UpdateAgent::WhyRefused(const UpdateRequest& request) const {
  const ModelRef& model = request.model;
  if (!IsValidId(model.name)) return "the model's name is not an id";
  if (!IsValidDigest(model.digest)) return "the digest is not sha256:<64 hex digits>";
  if (model.size_bytes == 0 || model.size_bytes > options_.max_model_bytes) {
    return "the model has " + std::to_string(model.size_bytes) + " bytes, this device takes 1 to " +
           std::to_string(options_.max_model_bytes);
  }
  if (Status status =
          parts_.verifier.Verify(request.key_id, ModelSigningText(model), request.signature);
      !status) {
    return "signature: " + status.error().message();
  }
  if (state_.confirmed && state_.confirmed->model.name == model.name &&
      state_.confirmed->model.digest != model.digest &&
      state_.confirmed->model.version >= model.version) {
    return "version " + std::to_string(model.version) + " is not newer than the confirmed " +
           std::to_string(state_.confirmed->model.version);
  }
  return "";
}

void UpdateAgent::Continue() {
  if (!state_.update->trial) {
    Download();
    return;
  }
  if (state_.update->interruptions > kMaxTrialInterruptions) {
    Finish(v1::DeviceEvent::MODEL_REVERTED,
           "the trial was interrupted " + std::to_string(state_.update->interruptions) + " times");
    return;
  }
  const ModelRef model = state_.update->request.model;
  auto bytes = slots_.ReadSlot(state_.inactive_slot(), model.digest);
  auto candidate = bytes ? Verify(model, std::move(*bytes))
                         : Expected<std::unique_ptr<LoadedModel>>(std::unexpected(bytes.error()));
  if (!candidate) {
    Finish(v1::DeviceEvent::MODEL_REVERTED, candidate.error().message());
    return;
  }
  RunTrial(std::move(*candidate));
}

void UpdateAgent::Download() {
  const UpdateRequest request = state_.update->request;
  {
    std::lock_guard lock(mutex_);
    phase_ = "downloading";
  }
  Expected<std::string> body = Fail(ErrorCode::kUnavailable, "not tried");
  for (int wait_ms = options_.retry_min_ms;;
       wait_ms = std::min(wait_ms * 2, options_.retry_max_ms)) {
    body = parts_.fetch(request.model.digest, request.model.size_bytes);
    if (body || !WorthRetrying(body.error())) break;
    log::Warning("model download failed, trying again", {{"error", body.error().message()}});
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(wait_ms),
                      [this] { return InterruptedLocked(); });
    if (stopping_) return;  // goes on after the restart
    if (next_) {
      lock.unlock();
      Finish(v1::DeviceEvent::MODEL_REJECTED,
             "replaced by a newer command before it was downloaded");
      return;
    }
  }
  if (!body) {
    Finish(v1::DeviceEvent::MODEL_REJECTED, "download: " + body.error().message());
    return;
  }
  if (body->size() != request.model.size_bytes) {
    Finish(v1::DeviceEvent::MODEL_REJECTED, "the download has " + std::to_string(body->size()) +
                                                " bytes, not " +
                                                std::to_string(request.model.size_bytes));
    return;
  }
  std::vector<uint8_t> bytes(body->begin(), body->end());
  if (signing::Sha256Digest(bytes) != request.model.digest) {
    Finish(v1::DeviceEvent::MODEL_REJECTED, "the download does not have the digest");
    return;
  }
  if (Status status = slots_.WriteSlot(state_.inactive_slot(), bytes); !status) {
    Finish(v1::DeviceEvent::MODEL_REJECTED, "cannot be stored: " + status.error().message());
    return;
  }
  auto candidate = Verify(request.model, std::move(bytes));
  if (!candidate) {
    Finish(v1::DeviceEvent::MODEL_REJECTED, candidate.error().message());
    return;
  }
  state_.update->trial = true;
  if (!Save()) return;
  parts_.emit({request.command_id, v1::DeviceEvent::MODEL_TRIAL, request.model.digest,
               request.model.version, ""});
  RunTrial(std::move(*candidate));
}

Expected<std::unique_ptr<LoadedModel>> UpdateAgent::Verify(const ModelRef& ref,
                                                           std::vector<uint8_t> bytes) {
  auto loaded = LoadedModel::Open(std::move(bytes));
  if (!loaded) return loaded;
  const model::Model& model = (*loaded)->model();
  if (model.name() != ref.name || model.version() != ref.version) {
    return Fail(ErrorCode::kInvalidArgument, "the file is " + std::string(model.name()) +
                                                 " version " + std::to_string(model.version()) +
                                                 ", not what the command says");
  }
  if (model.channels() != options_.channels || model.sample_rate_hz() != options_.sample_rate_hz) {
    return Fail(ErrorCode::kInvalidArgument,
                "does not fit: wants " + std::to_string(model.channels()) + " channels at " +
                    std::to_string(model.sample_rate_hz()) + " Hz, the device has " +
                    std::to_string(options_.channels) + " at " +
                    std::to_string(options_.sample_rate_hz));
  }
  return loaded;
}

void UpdateAgent::RunTrial(std::unique_ptr<LoadedModel> candidate) {
  uint64_t number;
  {
    std::lock_guard lock(mutex_);
    phase_ = "trial";
    outcome_.reset();
    number = ++trial_number_;
  }
  parts_.start_trial(std::move(candidate), [this, number](const TrialOutcome& outcome) {
    std::lock_guard lock(mutex_);
    if (number != trial_number_) return;  // of a trial that was replaced
    outcome_ = outcome;
    changed_.notify_all();
  });
  TrialOutcome outcome;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return InterruptedLocked() || outcome_; });
    if (stopping_) return;
    outcome = outcome_.value_or(TrialOutcome{false, "replaced by a newer command in its trial"});
  }
  if (!outcome.healthy) {
    parts_.end_trial(false);
    Finish(v1::DeviceEvent::MODEL_REVERTED, outcome.reason);
    return;
  }
  const auto before = state_.confirmed;
  state_.confirmed = ConfirmedModel{state_.inactive_slot(), state_.update->request.model};
  const bool durable = Finish(v1::DeviceEvent::MODEL_CONFIRMED, "");
  if (!durable) state_.confirmed = before;
  parts_.end_trial(durable);
}

bool UpdateAgent::Finish(int event_type, const std::string& reason) {
  const UpdateRequest request = std::exchange(state_.update, std::nullopt)->request;
  log::Info("model update ended",
            {{"model", request.model.name},
             {"version", request.model.version},
             {"result", v1::DeviceEvent::Type_Name(static_cast<v1::DeviceEvent::Type>(event_type))},
             {"reason", reason}});
  return Answer(
      {request.command_id, event_type, request.model.digest, request.model.version, reason});
}

bool UpdateAgent::Answer(UpdateAnswer answer) {
  state_.answers.push_back(answer);
  if (state_.answers.size() > kAnswersKept) state_.answers.erase(state_.answers.begin());
  if (!Save()) return false;
  parts_.emit(answer);
  return true;
}

// What cannot be made durable is not announced: the command comes again.
bool UpdateAgent::Save() {
  Status status = slots_.Save(state_);
  if (status) return true;
  log::Error("model state cannot be saved", {{"error", status.error().message()}});
  return false;
}

}  // namespace edgeloop::gateway
