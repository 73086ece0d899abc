#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {

bool HandleFetch(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  FetchRequest fetch{
      .slot = request.slot, .version = version, .correlation_id = request.correlation_id};
  in.Int32();  // replica id: clients send -1
  fetch.max_wait_ms = in.Int32();
  fetch.min_bytes = in.Int32();
  fetch.max_bytes = in.Int32();
  in.Int8();  // isolation level: without transactions all is committed
  int32_t session_epoch = -1;
  if (version >= 7) {
    in.Int32();  // session id
    session_epoch = in.Int32();
  }
  for (int32_t topics = in.Array(6); topics > 0; --topics) {
    FetchTopic& topic = fetch.topics.emplace_back();
    topic.name = in.String();
    for (int32_t partitions = in.Array(16); partitions > 0; --partitions) {
      FetchPartition& partition = topic.partitions.emplace_back();
      partition.partition = in.Int32();
      if (version >= 9) in.Int32();  // current leader epoch
      partition.offset = in.Int64();
      if (version >= 5) in.Int64();  // log start offset of a follower
      partition.max_bytes = in.Int32();
    }
  }
  if (version >= 7) {
    for (int32_t topics = in.Array(6); topics > 0; --topics) {  // forgotten by the session
      in.String();
      for (int32_t partitions = in.Array(4); partitions > 0; --partitions) in.Int32();
    }
  }
  if (version >= 11) in.String();  // rack
  if (!in.Finished()) return false;
  if (session_epoch > 0) {  // goes on with a session that we never opened
    Writer out(request.correlation_id);
    out.Int32(0);
    out.Error(KafkaError::kFetchSessionIdNotFound);
    out.Int32(0);
    out.Array(0);
    core.Respond(request.slot, std::move(out).Take());
    return true;
  }
  core.fetches().Add(std::move(fetch));
  return true;
}

}  // namespace edgeloop::stream
