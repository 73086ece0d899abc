// Stream messages that belong to a state change: written in the change's transaction, sent after
// it, deleted once the broker has them. A crash in between sends one twice, under the same event
// id.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "platform/mlops/database/database.h"

namespace edgeloop::mlops {

struct OutboxMessage {
  std::int64_t id = 0;
  std::string topic;
  std::string key;
  std::string type;  // CloudEvents type, "edgeloop.v1.Command"
  std::uint64_t at_ns = 0;
  std::string value;
};

class Outbox {
 public:
  static Expected<Outbox> Create(Database* database);

  // Inside the caller's transaction.
  void Add(std::string_view topic, std::string_view key, std::string_view type, std::uint64_t at_ns,
           std::string_view value);

  // Hands messages to `send` in order until it fails; its error is returned, the rest stays.
  Status Drain(const std::function<Status(const OutboxMessage&)>& send);

 private:
  explicit Outbox(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace edgeloop::mlops
