#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleJoinGroup(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  JoinRequest join{.client_id = request.client_id, .client_host = request.peer.host};
  join.group = in.String();
  join.session_timeout_ms = in.Int32();
  join.rebalance_timeout_ms = version >= 1 ? in.Int32() : join.session_timeout_ms;
  join.member_id = in.String();
  if (version >= 5) join.instance_id = in.NullableString();
  join.protocol_type = in.String();
  for (int32_t count = in.Array(6); count > 0; --count) {
    GroupProtocol& protocol = join.protocols.emplace_back();
    protocol.name = in.String();
    const auto metadata = in.Bytes();
    protocol.metadata.assign(metadata.begin(), metadata.end());
  }
  if (!in.Finished()) return false;
  join.ask_member_id = version >= 4;
  core.groups().Join(std::move(join),
                     [&core, slot = request.slot, version,
                      correlation_id = request.correlation_id](const JoinResult& result) {
                       Writer out(correlation_id);
                       if (version >= 2) out.Int32(0);  // throttle
                       out.Error(result.error);
                       out.Int32(result.generation);
                       out.String(result.protocol);
                       out.String(result.leader);
                       out.String(result.member_id);
                       out.Array(result.members.size());
                       for (const JoinedMember& member : result.members) {
                         out.String(member.member_id);
                         if (version >= 5) out.NullableString(member.instance_id);
                         out.Bytes(member.metadata);
                       }
                       core.Respond(slot, std::move(out).Take());
                     });
  return true;
}

}  // namespace edgeloop::stream
