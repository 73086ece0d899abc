#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleSyncGroup(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  MemberKey member;
  member.group = in.String();
  member.generation = in.Int32();
  member.member_id = in.String();
  if (version >= 3) member.instance_id = in.NullableString();
  std::map<std::string, std::vector<uint8_t>> assignments;
  for (int32_t count = in.Array(6); count > 0; --count) {
    std::string id(in.String());
    const auto bytes = in.Bytes();
    assignments[std::move(id)].assign(bytes.begin(), bytes.end());
  }
  if (!in.Finished()) return false;
  core.groups().Sync(member, std::move(assignments),
                     [&core, slot = request.slot, version,
                      correlation_id = request.correlation_id](const SyncResult& result) {
                       Writer out(correlation_id);
                       if (version >= 1) out.Int32(0);  // throttle
                       out.Error(result.error);
                       out.Bytes(result.assignment);
                       core.Respond(slot, std::move(out).Take());
                     });
  return true;
}

}  // namespace edgeloop::stream
