// The whole broker: storage, protocol and listener on two threads of its own (loop, storage). What
// edgeloop-stream runs and what tests start in their process.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/core.h"
#include "platform/services/stream/net/server.h"

namespace edgeloop::stream {

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  TopicConfig config;
};

struct BrokerOptions {
  ServerOptions listen;
  CoreOptions core;                      // advertised_port 0: the port listened on
  std::optional<tls::Files> tls;         // nullopt: plain TCP, for tests on one machine
  std::vector<TopicSpec> topics;         // created at start when missing
  metrics::Registry* metrics = nullptr;  // null: counted for nobody
  fs::FileSystem* fs = nullptr;          // null: the operating system's
  Core::Notice notice;                   // lines for the operator; called on the loop's thread
};

class Broker {
 public:
  // Recovers the data, listens and serves. One broker at a time may use a data directory.
  static Expected<std::unique_ptr<Broker>> Create(BrokerOptions options);
  // Answers no more, syncs and closes all.
  ~Broker();

  uint16_t port() const { return server_->port(); }
  // Applies retention and compaction now and waits for it.
  void CleanLogs();

 private:
  Broker() = default;
  Status CreateTopics(const std::vector<TopicSpec>& topics);

  int lock_fd_ = -1;
  std::unique_ptr<metrics::Registry> own_metrics_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace edgeloop::stream
