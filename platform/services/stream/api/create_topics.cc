#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

struct NewTopic {
  std::string name;
  int32_t partitions = 0;
  int16_t replication = 0;
  bool assigned = false;  // the client chose the brokers of each partition
  TopicConfig config;
};

// The answer to a whole request, sent when the last of its topics is decided.
struct Pending {
  Core& core;
  RequestSlot slot;
  int32_t correlation_id;
  int16_t version;
  size_t left;
  std::vector<std::pair<std::string, Core::TopicResult>> results;
};

void Conclude(Pending& pending) {
  Writer out(pending.correlation_id);
  if (pending.version >= 2) out.Int32(0);  // throttle
  out.Array(pending.results.size());
  for (const auto& [name, result] : pending.results) {
    out.String(name);
    out.Error(result.error);
    if (pending.version >= 1) {
      out.NullableString(result.message.empty() ? std::nullopt : std::optional(result.message));
    }
  }
  pending.core.Respond(pending.slot, std::move(out).Take());
}

}  // namespace

bool HandleCreateTopics(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  std::vector<NewTopic> topics;
  for (int32_t count = in.Array(16); count > 0; --count) {
    NewTopic& topic = topics.emplace_back();
    topic.name = in.String();
    topic.partitions = in.Int32();
    topic.replication = in.Int16();
    for (int32_t assignments = in.Array(8); assignments > 0; --assignments) {
      topic.assigned = true;
      in.Int32();
      for (int32_t brokers = in.Array(4); brokers > 0; --brokers) in.Int32();
    }
    for (int32_t configs = in.Array(4); configs > 0; --configs) {
      const std::string key(in.String());
      const auto value = in.NullableString();
      if (value) topic.config[key] = *value;
    }
  }
  in.Int32();  // timeout
  const bool validate_only = version >= 1 && in.Bool();
  if (!in.Finished()) return false;

  // Shared by the topics' callbacks, which may come at once or after the sync, in any order.
  auto pending = std::make_shared<Pending>(
      Pending{core, request.slot, request.correlation_id, version, topics.size(), {}});
  for (const NewTopic& topic : topics) pending->results.push_back({topic.name, {}});
  if (topics.empty()) Conclude(*pending);
  for (size_t i = 0; i < topics.size(); ++i) {
    const auto done = [pending, i](const Core::TopicResult& result) {
      pending->results[i].second = result;
      if (--pending->left == 0) Conclude(*pending);
    };
    NewTopic& topic = topics[i];
    if (topic.assigned) {
      done({KafkaError::kInvalidReplicaAssignment, "replicas cannot be chosen: there is one node"});
    } else if (topic.replication != 1 && topic.replication != -1) {
      done({KafkaError::kInvalidReplicationFactor, "the replication factor is 1: one node"});
    } else {
      core.CreateTopic(topic.name, topic.partitions, std::move(topic.config), validate_only, done);
    }
  }
  return true;
}

}  // namespace edgeloop::stream
