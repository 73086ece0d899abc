#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleDescribeGroups(Core& core, Request&& request) {
  constexpr int32_t kAuthorizedOperationsUnknown = INT32_MIN;
  const int16_t version = request.api_version;
  Reader in(request.body());
  std::vector<std::string> ids;
  for (int32_t count = in.Array(2); count > 0; --count) ids.emplace_back(in.String());
  if (version >= 3) in.Bool();  // include authorized operations
  if (!in.Finished()) return false;
  Writer out(request.correlation_id);
  if (version >= 1) out.Int32(0);  // throttle
  out.Array(ids.size());
  for (const std::string& id : ids) {
    const GroupDescription group = core.groups().Describe(id);
    out.Error(KafkaError::kNone);  // an unknown group is "Dead"
    out.String(group.group);
    out.String(group.state);
    out.String(group.protocol_type);
    out.String(group.protocol);
    out.Array(group.members.size());
    for (const MemberDescription& member : group.members) {
      out.String(member.member_id);
      if (version >= 4) out.NullableString(member.instance_id);
      out.String(member.client_id);
      out.String(member.client_host);
      out.Bytes(member.metadata);
      out.Bytes(member.assignment);
    }
    if (version >= 3) out.Int32(kAuthorizedOperationsUnknown);
  }
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
