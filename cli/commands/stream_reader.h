// Reads messages of a stream for the commands that show them.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/site/access.h"
#include "contracts/error/error.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::commands {

struct Tail {
  std::string topic;
  int last = 10;  // messages, over all partitions together
  bool follow = false;
};
// Calls `show` with each message, oldest first: {topic, partition, offset, key, value} with the
// value decoded, or {..., error}. With `follow` it ends only when interrupted.
Status ReadTail(const site::Access& access, const Tail& tail,
                const std::function<void(const nlohmann::json&)>& show);

}  // namespace edgeloop::commands
