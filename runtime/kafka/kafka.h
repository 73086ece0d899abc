// Producer, consumer and admin of the Kafka protocol (librdkafka inside), with small buffers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/events/cloud_event.h"
#include "runtime/tls/tls.h"

namespace edgeloop::kafka {

struct ConnectionOptions {
  std::string bootstrap;  // "host:port[,host:port]"
  tls::Files tls;         // all empty: plain text (tests)
  std::string client_id;
};

struct Position {
  int32_t partition = 0;
  int64_t offset = 0;
};

// Idempotent (enable.idempotence), acks=all: a delivered message is on the broker's disk, once, and
// in order of its partition. Retries until `delivery_timeout_ms`.
class Producer {
 public:
  struct Options {
    ConnectionOptions connection;
    int linger_ms = 5;
    int queue_messages = 20'000;  // Produce() fails with kResourceExhausted above
    int queue_kib = 16'384;
    int delivery_timeout_ms = 30'000;
  };
  struct Message {
    std::string_view topic;
    std::string_view key;
    std::string_view value;
    events::Headers headers;
  };
  // Called from the producer's own polling thread, in the order of each partition.
  using Delivered = std::function<void(Expected<Position>)>;

  static Expected<std::unique_ptr<Producer>> Create(Options options);
  ~Producer();  // drops what is not delivered: call Flush() first

  Status Produce(const Message& message, Delivered delivered = nullptr);
  // Produces and waits for the broker's answer.
  Expected<Position> ProduceSync(const Message& message, std::chrono::milliseconds timeout);
  Status Flush(std::chrono::milliseconds timeout);

 private:
  struct Impl;
  explicit Producer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Record {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::string key;
  std::string value;
  bool tombstone = false;  // null value
  events::Headers headers;
};

class Consumer {
 public:
  struct Options {
    ConnectionOptions connection;
    std::string group;           // empty: no group, use Assign()
    bool from_beginning = true;  // where the group has no offset
    int session_timeout_ms = 10'000;
    int fetch_wait_ms = 500;
    int queue_kib = 4'096;
  };
  static Expected<std::unique_ptr<Consumer>> Create(Options options);
  ~Consumer();  // leaves the group

  Status Subscribe(const std::vector<std::string>& topics);
  struct Assignment {
    std::string topic;
    int32_t partition = 0;
    int64_t offset = 0;  // absolute; kBeginning or kEnd
  };
  static constexpr int64_t kBeginning = -2;
  static constexpr int64_t kEnd = -1;
  Status Assign(const std::vector<Assignment>& assignments);
  // All partitions of the topics from the beginning or from the end, without a group.
  Status AssignAll(const std::vector<std::string>& topics, int64_t from);

  // Blocks up to `wait`; nullopt when nothing came. An error that librdkafka retries by itself
  // (broker away) is logged, not returned.
  Expected<std::optional<Record>> Poll(std::chrono::milliseconds wait);
  // Commits "everything up to and including `record` is processed"; waits for the broker.
  Status Commit(const Record& record);
  // First and next offset of a partition.
  struct Watermarks {
    int64_t low = 0;
    int64_t high = 0;
  };
  Expected<Watermarks> QueryWatermarks(std::string_view topic, int32_t partition,
                                       std::chrono::milliseconds timeout);

 private:
  struct Impl;
  explicit Consumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TopicInfo {
  std::string name;
  int partitions = 0;
};
class Admin {
 public:
  static Expected<std::unique_ptr<Admin>> Create(ConnectionOptions connection);
  ~Admin();
  // Existing topics are left as they are.
  Status CreateTopic(std::string_view topic, int partitions,
                     const std::vector<std::pair<std::string, std::string>>& config,
                     std::chrono::milliseconds timeout);
  Expected<std::vector<TopicInfo>> ListTopics(std::chrono::milliseconds timeout);

 private:
  struct Impl;
  explicit Admin(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::kafka
