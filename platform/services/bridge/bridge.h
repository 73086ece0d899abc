// Keeps a session working: starts it, and starts another one when it has failed.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "platform/services/bridge/session.h"

namespace edgeloop::bridge {

class Bridge {
 public:
  Bridge(SessionOptions options, metrics::Registry& registry);
  ~Bridge();

  // Why records do not flow, if they do not.
  Status Ready() const;
  // {"<device>": {"boot", "seq", "records", "duplicates", "gaps", "gaps_explained", "store":
  // {...}}}
  std::string PositionsJson() const;

 private:
  void Run();

  const SessionOptions options_;
  BridgeMetrics metrics_;
  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::unique_ptr<Session> session_;
  std::string problem_ = "starting";
  std::thread thread_;
};

}  // namespace edgeloop::bridge
