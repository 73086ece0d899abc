// A topic: its name, its configuration and its partitions' logs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/log/partition_log.h"

namespace edgeloop::stream {

using TopicConfig = std::map<std::string, std::string>;  // by Kafka's names: "retention.ms"

struct Partition {
  int32_t id = 0;
  std::unique_ptr<PartitionLog> log;
  std::vector<uint64_t> waiting_fetches;  // ids in the FetchQueue
};

struct Topic {
  std::string name;
  TopicConfig config;
  LogOptions log_options;
  uint32_t max_message_bytes = 0;
  bool deleting = false;
  std::vector<std::unique_ptr<Partition>> partitions;
};

// Letters, digits, '.', '_', '-'; 1 to 249 of them; not "." or "..".
bool ValidTopicName(std::string_view name);

struct TopicSettings {
  LogOptions log;
  uint32_t max_message_bytes = 0;  // the largest batch accepted
};
// Defaults for what is not set; kInvalidArgument names the key that is unknown or has a bad value.
Expected<TopicSettings> ParseTopicConfig(const TopicConfig& config);
// All settings as text, defaults included: for clients that ask.
TopicConfig DescribeTopicConfig(const TopicConfig& config);

// How the metadata journal keeps a topic.
std::string EncodeTopic(size_t partitions, const TopicConfig& config);
bool DecodeTopic(std::string_view text, size_t* partitions, TopicConfig* config);

}  // namespace edgeloop::stream
