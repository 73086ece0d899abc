#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleLeaveGroup(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  const std::string group(in.String());
  std::vector<MemberKey> members;
  if (version < 3) {
    members.push_back({.group = group, .member_id = std::string(in.String())});
  } else {
    for (int32_t count = in.Array(4); count > 0; --count) {
      MemberKey& member = members.emplace_back();
      member.group = group;
      member.member_id = in.String();
      member.instance_id = in.NullableString();
    }
  }
  if (!in.Finished()) return false;
  std::vector<KafkaError> errors;
  for (const MemberKey& member : members) errors.push_back(core.groups().Leave(member));
  Writer out(request.correlation_id);
  if (version >= 1) out.Int32(0);  // throttle
  out.Error(version < 3 ? errors.front() : KafkaError::kNone);
  if (version >= 3) {
    out.Array(members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      out.String(members[i].member_id);
      out.NullableString(members[i].instance_id);
      out.Error(errors[i]);
    }
  }
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
