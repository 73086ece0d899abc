// Reads the streams of telemetry, inferences, alerts and pipelines into a World, and lets the story
// wait until something is true of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cli/demo/world.h"
#include "cli/site/access.h"
#include "contracts/error/error.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::demo {

class Observer {
 public:
  static Expected<std::unique_ptr<Observer>> Start(const site::Access& access);
  ~Observer();

  using Condition = std::function<bool(const World&)>;
  // True when the condition became true in time.
  bool WaitFor(const Condition& condition, std::chrono::milliseconds within);
  // Reads the world while it stands still.
  template <typename Read>
  auto With(Read&& read) {
    std::lock_guard lock(mutex_);
    return read(static_cast<const World&>(world_));
  }

 private:
  explicit Observer(std::unique_ptr<kafka::Consumer> consumer) : consumer_(std::move(consumer)) {}
  void Run();
  void Take(const kafka::Record& record);

  std::unique_ptr<kafka::Consumer> consumer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  World world_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace edgeloop::demo
