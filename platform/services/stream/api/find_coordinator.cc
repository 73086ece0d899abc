#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleFindCoordinator(Core& core, Request&& request) {
  constexpr int8_t kGroup = 0;
  const int16_t version = request.api_version;
  Reader in(request.body());
  in.String();  // key: this node coordinates every group
  const int8_t type = version >= 1 ? in.Int8() : kGroup;
  if (!in.Finished()) return false;
  Writer out(request.correlation_id);
  if (version >= 1) out.Int32(0);  // throttle
  const bool group = type == kGroup;
  out.Error(group ? KafkaError::kNone : KafkaError::kTransactionalIdAuthorizationFailed);
  if (version >= 1) {
    out.NullableString(group ? std::nullopt : std::optional("transactions are not supported"));
  }
  out.Int32(group ? kNodeId : -1);
  out.String(group ? core.options().advertised_host : "");
  out.Int32(group ? core.options().advertised_port : -1);
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
