#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleInitProducerId(Core& core, Request&& request) {
  Reader in(request.body());
  const bool transactional = in.NullableString().has_value();
  in.Int32();  // transaction timeout
  if (!in.Finished()) return false;
  const auto answer = [&core, slot = request.slot, correlation_id = request.correlation_id](
                          KafkaError error, int64_t producer_id) {
    Writer out(correlation_id);
    out.Int32(0);  // throttle
    out.Error(error);
    out.Int64(producer_id);
    out.Int16(error == KafkaError::kNone ? 0 : -1);  // epoch
    core.Respond(slot, std::move(out).Take());
  };
  if (transactional) {
    answer(KafkaError::kTransactionalIdAuthorizationFailed, -1);
    return true;
  }
  core.NewProducerId([answer](Expected<int64_t> id) {
    // The storage may recover: clients ask again on this error.
    answer(id ? KafkaError::kNone : KafkaError::kCoordinatorNotAvailable, id.value_or(-1));
  });
  return true;
}

}  // namespace edgeloop::stream
