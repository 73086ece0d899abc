#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;

struct Found {
  KafkaError error = KafkaError::kNone;
  int64_t timestamp_ms = -1;
  int64_t offset = -1;
};

Found Find(Core& core, std::string_view topic, int32_t partition_id, int64_t timestamp_ms) {
  const Partition* partition = core.FindPartition(topic, partition_id);
  if (partition == nullptr) return {KafkaError::kUnknownTopicOrPartition};
  const OffsetRange range = partition->log->offsets();
  if (timestamp_ms == kLatest) return {KafkaError::kNone, -1, range.end};
  if (timestamp_ms == kEarliest) return {KafkaError::kNone, -1, range.start};
  if (timestamp_ms < 0) return {KafkaError::kInvalidRequest};
  auto found = partition->log->FindTimestamp(timestamp_ms);
  if (!found) {
    core.Note(true, "offset by time: " + found.error().ToString());
    return {KafkaError::kKafkaStorageError};
  }
  if (!*found) return {};
  return {KafkaError::kNone, (*found)->timestamp_ms, (*found)->offset};
}

}  // namespace

bool HandleListOffsets(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  Writer out(request.correlation_id);
  in.Int32();                   // replica id
  if (version >= 2) in.Int8();  // isolation level
  if (version >= 2) out.Int32(0);
  const int32_t topics = in.Array(6);
  out.Array(static_cast<size_t>(topics));
  for (int32_t t = 0; t < topics; ++t) {
    const std::string_view topic = in.String();
    out.String(topic);
    const int32_t partitions = in.Array(12);
    out.Array(static_cast<size_t>(partitions));
    for (int32_t p = 0; p < partitions; ++p) {
      const int32_t partition = in.Int32();
      if (version >= 4) in.Int32();  // current leader epoch
      const int64_t timestamp_ms = in.Int64();
      if (!in.ok()) return false;
      const Found found = Find(core, topic, partition, timestamp_ms);
      out.Int32(partition);
      out.Error(found.error);
      out.Int64(found.timestamp_ms);
      out.Int64(found.offset);
      if (version >= 4) out.Int32(-1);  // leader epoch
    }
  }
  if (!in.Finished()) return false;
  core.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
