#include "platform/services/stream/fetch_queue.h"

#include <algorithm>
#include <utility>

#include "platform/services/stream/core.h"
#include "platform/services/stream/protocol/wire.h"

namespace edgeloop::stream {

FetchQueue::~FetchQueue() {
  for (auto& [id, waiting] : waiting_) core_.loop().Cancel(&waiting.timer);
}

void FetchQueue::Add(FetchRequest request) {
  if (TryAnswer(request, request.max_wait_ms <= 0)) return;
  const uint64_t id = next_id_++;
  for (const FetchTopic& topic : request.topics) {
    for (const FetchPartition& wanted : topic.partitions) {
      Partition* partition = core_.FindPartition(topic.name, wanted.partition);
      if (partition != nullptr) partition->waiting_fetches.push_back(id);
    }
  }
  const int64_t wait_ms =
      std::min<int64_t>(request.max_wait_ms, core_.options().limits.max_fetch_wait_ms);
  Waiting& waiting = waiting_[id];
  waiting.request = std::move(request);
  waiting.timer = core_.loop().RunAfter(wait_ms, [this, id] {
    auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    found->second.timer = {};
    TryAnswer(found->second.request, true);
    Finish(id);
  });
}

void FetchQueue::Wake(Partition& partition) {
  const std::vector<uint64_t> ids = partition.waiting_fetches;
  for (const uint64_t id : ids) {
    auto found = waiting_.find(id);
    if (found != waiting_.end() && TryAnswer(found->second.request, false)) Finish(id);
  }
}

void FetchQueue::Finish(uint64_t id) {
  auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  core_.loop().Cancel(&found->second.timer);
  for (const FetchTopic& topic : found->second.request.topics) {
    for (const FetchPartition& wanted : topic.partitions) {
      Partition* partition = core_.FindPartition(topic.name, wanted.partition);
      if (partition != nullptr) std::erase(partition->waiting_fetches, id);
    }
  }
  waiting_.erase(found);
}

bool FetchQueue::TryAnswer(const FetchRequest& request, bool time_is_over) {
  const int16_t version = request.version;
  Writer out(request.correlation_id);
  out.Int32(0);  // throttle
  if (version >= 7) {
    out.Error(KafkaError::kNone);
    out.Int32(0);  // no fetch sessions: each request names all it wants
  }
  const size_t max_bytes = std::min<size_t>(static_cast<size_t>(std::max(request.max_bytes, 0)),
                                            core_.options().limits.max_fetch_bytes);
  size_t total = 0;
  bool failed = false;
  out.Array(request.topics.size());
  for (const FetchTopic& topic : request.topics) {
    out.String(topic.name);
    out.Array(topic.partitions.size());
    for (const FetchPartition& wanted : topic.partitions) {
      const Partition* partition = core_.FindPartition(topic.name, wanted.partition);
      KafkaError error = KafkaError::kNone;
      OffsetRange range{-1, -1};
      std::vector<uint8_t>& bytes = out.bytes();
      out.Int32(wanted.partition);
      const size_t error_at = bytes.size();
      out.Error(error);
      const size_t range_at = bytes.size();
      out.Int64(-1);                     // high watermark
      out.Int64(-1);                     // last stable offset: the same, without transactions
      if (version >= 5) out.Int64(-1);   // log start offset
      out.Array(0);                      // aborted transactions
      if (version >= 11) out.Int32(-1);  // preferred read replica
      const size_t records_at = out.Placeholder32();
      if (partition == nullptr) {
        error = KafkaError::kUnknownTopicOrPartition;
      } else {
        const size_t begin = bytes.size();
        const size_t left = max_bytes > total ? max_bytes - total : 0;
        const Status read = partition->log->Read(
            wanted.offset,
            std::min<size_t>(left, static_cast<size_t>(std::max(wanted.max_bytes, 0))), total == 0,
            &bytes);
        range = partition->log->offsets();
        if (!read) {
          switch (read.error().code()) {
            case ErrorCode::kInvalidArgument:
              error = KafkaError::kOffsetOutOfRange;
              break;
            case ErrorCode::kCorrupt:
              error = KafkaError::kCorruptMessage;
              break;
            default:
              error = KafkaError::kKafkaStorageError;
              break;
          }
          if (error != KafkaError::kOffsetOutOfRange) {
            core_.Note(true, "fetch " + topic.name + "-" + std::to_string(wanted.partition) + ": " +
                                 read.error().ToString());
          }
        }
        out.Set32(records_at, static_cast<int32_t>(bytes.size() - begin));
        total += bytes.size() - begin;
      }
      StoreBe(bytes.data() + error_at, static_cast<int16_t>(error));
      StoreBe(bytes.data() + range_at, range.end);
      StoreBe(bytes.data() + range_at + 8, range.end);
      if (version >= 5) StoreBe(bytes.data() + range_at + 16, range.start);
      failed = failed || error != KafkaError::kNone;
    }
  }
  const bool enough = total >= static_cast<size_t>(std::max(request.min_bytes, 0));
  if (!enough && !failed && !time_is_over) return false;
  core_.metrics().fetched_bytes.Add(static_cast<double>(total));
  core_.Respond(request.slot, std::move(out).Take());
  return true;
}

}  // namespace edgeloop::stream
