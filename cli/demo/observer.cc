#include "cli/demo/observer.h"

#include "cli/operate/operator.h"
#include "contracts/topics/topics.h"
#include "runtime/log/log.h"

namespace edgeloop::demo {
namespace {

constexpr std::chrono::milliseconds kPoll{200};

}  // namespace

Expected<std::unique_ptr<Observer>> Observer::Start(const site::Access& access) {
  auto consumer = kafka::Consumer::Create(
      {.connection = access.Stream("edgeloop-demo"), .fetch_wait_ms = 100, .queue_kib = 16'384});
  if (!consumer) return Fail(consumer.error());
  const Status assigned =
      (*consumer)->AssignAll({std::string(topics::kTelemetry), std::string(topics::kInferences),
                              std::string(topics::kAlerts), std::string(topics::kPipelines)},
                             kafka::Consumer::kBeginning);
  if (!assigned) return Fail(assigned.error());
  std::unique_ptr<Observer> observer(new Observer(std::move(*consumer)));
  observer->thread_ = std::thread([o = observer.get()] { o->Run(); });
  return observer;
}

Observer::~Observer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Observer::Run() {
  while (true) {
    auto record = consumer_->Poll(kPoll);
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (!record) {
      log::Warning("reading the streams", {{"error", record.error().message()}});
      continue;
    }
    if (!*record) continue;
    Take(**record);
    changed_.notify_all();
  }
}

void Observer::Take(const kafka::Record& record) {
  const auto parse = [&](auto* message) {
    if (message->ParseFromString(record.value)) return true;
    ++world_.undecodable;
    return false;
  };
  if (record.topic == topics::kTelemetry) {
    v1::TelemetryRecord telemetry;
    if (parse(&telemetry)) world_.Add(telemetry, operate::UnixNanoseconds());
  } else if (record.topic == topics::kInferences) {
    v1::Inference inference;
    if (parse(&inference)) ++world_.inferences;
  } else if (record.topic == topics::kAlerts) {
    v1::Alert alert;
    if (parse(&alert)) world_.alerts.push_back(std::move(alert));
  } else if (record.topic == topics::kPipelines) {
    v1::PipelineEvent event;
    if (parse(&event)) world_.pipeline.push_back(std::move(event));
  }
}

bool Observer::WaitFor(const Condition& condition, std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, within, [&] { return condition(world_); });
}

}  // namespace edgeloop::demo
