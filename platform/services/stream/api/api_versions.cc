#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleApiVersions(Core& core, Request&& request) {
  constexpr int16_t kLatest = 3;
  int16_t version = request.api_version;
  KafkaError error = KafkaError::kNone;
  if (version < 0 || version > kLatest) {
    // Answered in version 0, which every client reads, so that it can choose another.
    version = 0;
    error = KafkaError::kUnsupportedVersion;
  } else {
    Reader in(request.body());
    if (version >= 3) {
      in.CompactString();  // client software name
      in.CompactString();  // and version
      in.SkipTaggedFields();
    }
    if (!in.Finished()) return false;
  }
  const std::span<const Api> apis = Apis();
  Writer out(request.correlation_id);
  out.Error(error);
  if (version >= 3) {
    out.CompactArray(apis.size());
  } else {
    out.Array(apis.size());
  }
  for (const Api& api : apis) {
    out.Int16(api.key);
    out.Int16(api.min_version);
    out.Int16(api.max_version);
    if (version >= 3) out.NoTaggedFields();
  }
  if (version >= 1) out.Int32(0);  // throttle
  if (version >= 3) out.NoTaggedFields();
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
