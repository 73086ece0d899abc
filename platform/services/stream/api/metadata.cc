#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

constexpr int32_t kAuthorizedOperationsUnknown = INT32_MIN;

void WriteTopic(Writer* out, int16_t version, std::string_view name, const Topic* topic,
                KafkaError error) {
  out->Error(error);
  out->String(name);
  if (version >= 1) out->Bool(false);  // internal
  out->Array(topic == nullptr ? 0 : topic->partitions.size());
  if (topic != nullptr) {
    for (const auto& partition : topic->partitions) {
      out->Error(KafkaError::kNone);
      out->Int32(partition->id);
      out->Int32(kNodeId);
      if (version >= 7) out->Int32(-1);  // leader epoch
      out->Array(1);                     // replicas
      out->Int32(kNodeId);
      out->Array(1);  // in sync
      out->Int32(kNodeId);
      if (version >= 5) out->Array(0);  // offline
    }
  }
  if (version >= 8) out->Int32(kAuthorizedOperationsUnknown);
}

}  // namespace

bool HandleMetadata(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  std::vector<std::string> names;
  bool all = false;
  for (int32_t count = in.Array(2, &all); count > 0; --count) names.emplace_back(in.String());
  if (version == 0) all = names.empty();
  const bool may_create = version < 4 || in.Bool();
  if (version >= 8) {
    in.Bool();  // include authorized operations of the cluster
    in.Bool();  // and of topics
  }
  if (!in.Finished()) return false;

  Writer out(request.correlation_id);
  if (version >= 3) out.Int32(0);  // throttle
  out.Array(1);
  out.Int32(kNodeId);
  out.String(core.options().advertised_host);
  out.Int32(core.options().advertised_port);
  if (version >= 1) out.NullableString(std::nullopt);  // rack
  if (version >= 2) out.NullableString(core.cluster_id());
  if (version >= 1) out.Int32(kNodeId);  // controller
  if (all) {
    for (const auto& [name, topic] : core.topics()) {
      if (!topic.deleting) names.push_back(name);
    }
  }
  out.Array(names.size());
  for (const std::string& name : names) {
    const Topic* topic = core.FindTopic(name);
    KafkaError error = KafkaError::kNone;
    if (topic == nullptr) {
      error =
          ValidTopicName(name) ? KafkaError::kUnknownTopicOrPartition : KafkaError::kInvalidTopic;
      if (may_create && core.options().auto_create_topics && ValidTopicName(name)) {
        // The client asks again in a moment and finds it.
        core.CreateTopic(name, -1, {}, false, [](const Core::TopicResult&) {});
        error = KafkaError::kLeaderNotAvailable;
      }
    }
    WriteTopic(&out, version, name, topic, error);
  }
  if (version >= 8) out.Int32(kAuthorizedOperationsUnknown);
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
