#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleHeartbeat(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  MemberKey member;
  member.group = in.String();
  member.generation = in.Int32();
  member.member_id = in.String();
  if (version >= 3) member.instance_id = in.NullableString();
  if (!in.Finished()) return false;
  Writer out(request.correlation_id);
  if (version >= 1) out.Int32(0);  // throttle
  out.Error(core.groups().Heartbeat(member));
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
