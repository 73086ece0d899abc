#include <map>

#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleOffsetFetch(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  const std::string group(in.String());
  std::map<std::string, std::vector<int32_t>> wanted;
  bool all = false;
  for (int32_t t = in.Array(6, version >= 2 ? &all : nullptr); t > 0; --t) {
    std::vector<int32_t>& partitions = wanted[std::string(in.String())];
    for (int32_t p = in.Array(4); p > 0; --p) partitions.push_back(in.Int32());
  }
  if (!in.Finished()) return false;
  if (all) {
    for (const auto& [where, offset] : core.groups().Offsets(group)) {
      wanted[where.topic].push_back(where.partition);
    }
  }
  Writer out(request.correlation_id);
  if (version >= 3) out.Int32(0);  // throttle
  out.Array(wanted.size());
  for (const auto& [topic, partitions] : wanted) {
    out.String(topic);
    out.Array(partitions.size());
    for (const int32_t partition : partitions) {
      const auto offset =
          core.groups().Offset(group, {topic, partition}).value_or(CommittedOffset{});
      out.Int32(partition);
      out.Int64(offset.offset);
      if (version >= 5) out.Int32(offset.leader_epoch);
      out.String(offset.metadata);
      out.Error(KafkaError::kNone);
    }
  }
  if (version >= 2) out.Error(KafkaError::kNone);
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
