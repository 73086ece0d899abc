#include <algorithm>

#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

constexpr int8_t kTopicResource = 2;
constexpr int8_t kSourceTopic = 1;  // set for the topic
constexpr int8_t kSourceDefault = 5;

struct Resource {
  int8_t type = 0;
  std::string name;
  bool all_keys = true;
  std::vector<std::string> keys;
};

}  // namespace

bool HandleDescribeConfigs(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  std::vector<Resource> resources;
  for (int32_t count = in.Array(7); count > 0; --count) {
    Resource& resource = resources.emplace_back();
    resource.type = in.Int8();
    resource.name = in.String();
    for (int32_t keys = in.Array(2, &resource.all_keys); keys > 0; --keys) {
      resource.keys.emplace_back(in.String());
    }
  }
  if (version >= 1) in.Bool();  // include synonyms
  if (!in.Finished()) return false;
  Writer out(request.correlation_id);
  out.Int32(0);  // throttle
  out.Array(resources.size());
  for (const Resource& resource : resources) {
    const Topic* topic = resource.type == kTopicResource ? core.FindTopic(resource.name) : nullptr;
    // Only topics have settings that can be asked for; another kind of resource has none.
    const bool missing = resource.type == kTopicResource && topic == nullptr;
    out.Error(missing ? KafkaError::kUnknownTopicOrPartition : KafkaError::kNone);
    out.NullableString(std::nullopt);
    out.Int8(resource.type);
    out.String(resource.name);
    TopicConfig all;
    if (topic != nullptr) all = DescribeTopicConfig(topic->config);
    std::erase_if(all, [&](const auto& entry) {
      return !resource.all_keys &&
             std::ranges::find(resource.keys, entry.first) == resource.keys.end();
    });
    out.Array(all.size());
    for (const auto& [key, value] : all) {
      const bool is_default = !topic->config.contains(key);
      out.String(key);
      out.NullableString(value);
      out.Bool(true);  // read only
      if (version == 0) {
        out.Bool(is_default);
      } else {
        out.Int8(is_default ? kSourceDefault : kSourceTopic);
      }
      out.Bool(false);                 // sensitive
      if (version >= 1) out.Array(0);  // synonyms
    }
  }
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
