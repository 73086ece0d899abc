#include "platform/services/bridge/bridge.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "runtime/log/log.h"

namespace edgeloop::bridge {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);
constexpr auto kWatch = std::chrono::seconds(1);

}  // namespace

Bridge::Bridge(SessionOptions options, metrics::Registry& registry)
    : options_(std::move(options)), metrics_(registry), thread_([this] { Run(); }) {}

Bridge::~Bridge() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void Bridge::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    auto session = Session::Start(options_, metrics_);
    lock.lock();
    if (!session) {
      problem_ = session.error().ToString();
      log::Warning("not started, trying again", {{"reason", problem_}});
      stop_.wait_for(lock, kRetry, [this] { return stopping_; });
      continue;
    }
    session_ = std::move(*session);
    while (!stopping_ && !session_->failed()) stop_.wait_for(lock, kWatch);
    problem_ = "recovering";
    std::unique_ptr<Session> ended = std::move(session_);
    lock.unlock();  // its end may take seconds
    ended.reset();
    lock.lock();
  }
}

Status Bridge::Ready() const {
  const std::lock_guard lock(mutex_);
  if (!session_) return Fail(ErrorCode::kUnavailable, problem_);
  if (!session_->connected()) return Fail(ErrorCode::kUnavailable, "not connected to MQTT");
  return {};
}

std::string Bridge::PositionsJson() const {
  nlohmann::json json = nlohmann::json::object();
  const std::lock_guard lock(mutex_);
  if (!session_) return json.dump();
  for (const auto& [device, counts] : session_->ledger().Counts()) {
    const sparkplug::DeviceState& state = counts.state;
    json[device] = {{"boot", counts.durable.boot},
                    {"seq", counts.durable.seq},
                    {"records", counts.records},
                    {"duplicates", counts.duplicates},
                    {"gaps", counts.gaps},
                    {"gaps_explained", counts.explained},
                    {"store",
                     {{"model_state", state.model_state},
                      {"pending", state.pending},
                      {"produced", state.produced},
                      {"acked_seq", state.acked_seq},
                      {"dropped_raw", state.dropped_raw},
                      {"dropped_features", state.dropped_features},
                      {"dropped_alarms", state.dropped_alarms}}}};
  }
  // Strings of a device may hold anything.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace edgeloop::bridge
