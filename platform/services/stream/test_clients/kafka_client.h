// librdkafka for the tests of this folder: a producer that records what was acknowledged, a group
// consumer, admin calls.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgeloop::stream::test {

using Settings = std::map<std::string, std::string>;

struct KafkaDeleter {
  void operator()(rd_kafka_t* kafka) const { rd_kafka_destroy(kafka); }
};
using KafkaPtr = std::unique_ptr<rd_kafka_t, KafkaDeleter>;

// Throws std::runtime_error with librdkafka's reason.
KafkaPtr MakeClient(rd_kafka_type_t type, uint16_t port, const Settings& settings,
                    void (*delivery)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr,
                    void* opaque = nullptr);

struct Delivered {
  std::string value;
  int64_t offset = -1;
  int32_t partition = -1;
};

class Producer {
 public:
  explicit Producer(uint16_t port, Settings settings = {});

  // Queues; waits while the local queue is full.
  void Send(const std::string& topic, int32_t partition, const std::string& key,
            const std::string& value, int64_t timestamp_ms = 0);
  bool Flush(int timeout_ms = 30000);
  void Poll(int timeout_ms) { rd_kafka_poll(kafka_.get(), timeout_ms); }

  // In the order of acknowledgement.
  const std::vector<Delivered>& delivered() const { return delivered_; }
  const std::vector<std::string>& failed() const { return failed_; }
  rd_kafka_t* raw() { return kafka_.get(); }

 private:
  static void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self);

  std::vector<Delivered> delivered_;
  std::vector<std::string> failed_;
  KafkaPtr kafka_;
};

struct Consumed {
  std::string topic;
  int32_t partition = -1;
  int64_t offset = -1;
  std::string key;
  std::string value;
};

class Consumer {
 public:
  Consumer(uint16_t port, const std::string& group, Settings settings = {});
  ~Consumer();  // leaves the group

  void Subscribe(const std::string& topic);
  // Reads given partitions from given offsets, outside of the group protocol.
  void Assign(const std::string& topic, const std::map<int32_t, int64_t>& offsets);
  std::optional<Consumed> Poll(int timeout_ms);
  size_t assigned() const;
  // Synchronously, all that was consumed; empty when it went well.
  std::string Commit();
  rd_kafka_t* raw() { return kafka_.get(); }

 private:
  KafkaPtr kafka_;
};

// Everything in the partition, from the start to the end as it is now.
std::vector<Consumed> ReadAll(uint16_t port, const std::string& topic, int32_t partition,
                              Settings settings = {});

// An error's text, or empty.
std::string CreateTopic(uint16_t port, const std::string& topic, int partitions,
                        const Settings& config = {}, Settings settings = {});
std::string DeleteTopic(uint16_t port, const std::string& topic);

}  // namespace edgeloop::stream::test
