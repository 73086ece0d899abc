#include "inference/sidecar/module_host.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::sidecar {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kStopGrace{2'000};

}  // namespace

ModuleHost::ModuleHost(Options options, frame::Listener listener)
    : options_(std::move(options)),
      listener_(std::move(listener)),
      next_start_(Clock::now()),
      back_off_(options_.first_restart) {}

Expected<std::unique_ptr<ModuleHost>> ModuleHost::Create(Options options) {
  auto listener = frame::Listener::Create(options.socket);
  if (!listener) return Fail(listener.error());
  return std::unique_ptr<ModuleHost>(new ModuleHost(std::move(options), std::move(*listener)));
}

// One that ended is started again after the back-off; one that was asked well forgets it.
Status ModuleHost::KeepRunning() {
  if (options_.command.empty()) return {};
  if (child_ && !child_->Poll()) return {};
  child_.reset();
  if (Clock::now() < next_start_) return {};
  next_start_ = Clock::now() + back_off_;
  back_off_ = std::min(2 * back_off_, options_.longest_restart);
  auto child = process::Child::Start({.command = options_.command});
  if (!child) return Fail(child.error(), "module " + options_.command[0]);
  child_.emplace(std::move(*child));
  return {};
}

Status ModuleHost::WaitForModule(const frame::Interrupt& interrupt, frame::Timeout timeout) {
  connection_.reset();
  if (Status status = KeepRunning(); !status) {
    // As long as it cannot be started, one may still be started by hand.
    auto connection = listener_.Accept(interrupt, timeout);
    if (!connection) {
      return connection.error().code() == ErrorCode::kCancelled ? Fail(connection.error()) : status;
    }
    connection_.emplace(std::move(*connection));
    return {};
  }
  auto connection = listener_.Accept(interrupt, timeout);
  if (!connection) return Fail(connection.error());
  connection_.emplace(std::move(*connection));
  return {};
}

Expected<v1::ModuleResponse> ModuleHost::Ask(const v1::ModuleRequest& request,
                                             const frame::Interrupt& interrupt) {
  if (!connection_) return Fail(ErrorCode::kUnavailable, "no module is connected");
  const auto lose = [&](const Error& error) {
    connection_.reset();
    return Fail(error, "module");
  };
  const Status written =
      connection_->Write(request.SerializeAsString(), interrupt, options_.answer_timeout);
  if (!written) return lose(written.error());
  auto payload = connection_->Read(interrupt, options_.answer_timeout);
  if (!payload) return lose(payload.error());
  v1::ModuleResponse response;
  if (!response.ParseFromString(*payload)) {
    return lose(Error(ErrorCode::kCorrupt, "sent a frame that is no ModuleResponse"));
  }
  if (response.id() != request.id()) {
    return lose(Error(ErrorCode::kCorrupt, "answered request " + std::to_string(response.id()) +
                                               " instead of " + std::to_string(request.id())));
  }
  back_off_ = options_.first_restart;
  return response;
}

void ModuleHost::StopModule() {
  connection_.reset();
  if (child_) child_->Stop(kStopGrace);
  child_.reset();
}

}  // namespace edgeloop::sidecar
