#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

struct Pending {
  Core& core;
  RequestSlot slot;
  int32_t correlation_id;
  int16_t version;
  size_t left;
  std::vector<std::pair<std::string, KafkaError>> results;
};

void Conclude(Pending& pending) {
  Writer out(pending.correlation_id);
  if (pending.version >= 1) out.Int32(0);  // throttle
  out.Array(pending.results.size());
  for (const auto& [name, error] : pending.results) {
    out.String(name);
    out.Error(error);
  }
  pending.core.Respond(pending.slot, std::move(out).Take());
}

}  // namespace

bool HandleDeleteTopics(Core& core, Request&& request) {
  Reader in(request.body());
  std::vector<std::string> names;
  for (int32_t count = in.Array(2); count > 0; --count) names.emplace_back(in.String());
  in.Int32();  // timeout
  if (!in.Finished()) return false;
  // Shared by the topics' callbacks, as in CreateTopics.
  auto pending = std::make_shared<Pending>(
      Pending{core, request.slot, request.correlation_id, request.api_version, names.size(), {}});
  for (const std::string& name : names) pending->results.emplace_back(name, KafkaError::kNone);
  if (names.empty()) Conclude(*pending);
  for (size_t i = 0; i < names.size(); ++i) {
    core.DeleteTopic(names[i], [pending, i](const Core::TopicResult& result) {
      pending->results[i].second = result.error;
      if (--pending->left == 0) Conclude(*pending);
    });
  }
  return true;
}

}  // namespace edgeloop::stream
