#include <utility>

#include "platform/services/stream/api/api.h"

namespace edgeloop::stream {
namespace {

constexpr size_t kMaxMetadataBytes = 4096;

struct CommitPartition {
  int32_t partition = 0;
  KafkaError error = KafkaError::kNone;
  CommittedOffset offset;
};

void Answer(Core& core, RequestSlot slot, int32_t correlation_id, int16_t version,
            const std::vector<std::pair<std::string, std::vector<CommitPartition>>>& topics) {
  Writer out(correlation_id);
  if (version >= 3) out.Int32(0);  // throttle
  out.Array(topics.size());
  for (const auto& [name, partitions] : topics) {
    out.String(name);
    out.Array(partitions.size());
    for (const CommitPartition& partition : partitions) {
      out.Int32(partition.partition);
      out.Error(partition.error);
    }
  }
  core.Respond(slot, std::move(out).Take());
}

}  // namespace

bool HandleOffsetCommit(Core& core, Request&& request) {
  const int16_t version = request.api_version;
  Reader in(request.body());
  MemberKey member;
  member.group = in.String();
  member.generation = in.Int32();
  member.member_id = in.String();
  if (version <= 4) in.Int64();  // retention time: the broker's setting holds
  if (version >= 7) member.instance_id = in.NullableString();
  std::vector<std::pair<std::string, std::vector<CommitPartition>>> topics;
  size_t count = 0;
  for (int32_t t = in.Array(6); t > 0; --t) {
    auto& [name, partitions] = topics.emplace_back();
    name = in.String();
    for (int32_t p = in.Array(14); p > 0; --p) {
      CommitPartition& partition = partitions.emplace_back();
      partition.partition = in.Int32();
      partition.offset.offset = in.Int64();
      if (version >= 6) partition.offset.leader_epoch = in.Int32();
      partition.offset.metadata = in.NullableString().value_or("");
      ++count;
    }
  }
  if (!in.Finished()) return false;
  const KafkaError refused = core.groups().CheckCommit(member, count);
  std::vector<Core::OffsetChange> changes;
  for (auto& [name, partitions] : topics) {
    for (CommitPartition& partition : partitions) {
      partition.error = refused;
      if (refused != KafkaError::kNone) continue;
      if (core.FindPartition(name, partition.partition) == nullptr) {
        partition.error = KafkaError::kUnknownTopicOrPartition;
      } else if (partition.offset.metadata.size() > kMaxMetadataBytes) {
        partition.error = KafkaError::kOffsetMetadataTooLarge;
      } else {
        changes.push_back({{name, partition.partition}, partition.offset});
      }
    }
  }
  if (changes.empty()) {
    Answer(core, request.slot, request.correlation_id, version, topics);
    return true;
  }
  core.CommitOffsets(member.group, std::move(changes),
                     [&core, slot = request.slot, correlation_id = request.correlation_id, version,
                      topics = std::move(topics)](bool durable) mutable {
                       for (auto& [name, partitions] : topics) {
                         for (CommitPartition& partition : partitions) {
                           if (!durable && partition.error == KafkaError::kNone) {
                             partition.error = KafkaError::kCoordinatorNotAvailable;
                           }
                         }
                       }
                       Answer(core, slot, correlation_id, version, topics);
                     });
  return true;
}

}  // namespace edgeloop::stream
