#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleListGroups(Core& core, Request&& request) {
  Reader in(request.body());
  if (!in.Finished()) return false;
  Writer out(request.correlation_id);
  if (request.api_version >= 1) out.Int32(0);  // throttle
  out.Error(KafkaError::kNone);
  const std::vector<GroupDescription> groups = core.groups().List();
  out.Array(groups.size());
  for (const GroupDescription& group : groups) {
    out.String(group.group);
    out.String(group.protocol_type);
  }
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
