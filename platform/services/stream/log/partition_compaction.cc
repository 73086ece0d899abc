// Compaction: of each key the last record stays. Sealed segments are rewritten one by one, each
// replaced atomically; offsets never change.
#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "platform/services/stream/log/partition_log.h"

namespace edgeloop::stream {
namespace {

// Keys remembered in one pass; older records of further keys wait for a later pass.
constexpr size_t kMaxKeyBytes = 32u << 20;
constexpr size_t kKeyOverheadBytes = 64;

std::string_view KeyText(std::span<const uint8_t> key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

struct HeterogeneousHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

}  // namespace

Status PartitionLog::Compact(int64_t now_ms) {
  if (segments_.size() < 2) return {};
  uint64_t sealed_bytes = 0;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) sealed_bytes += segments_[i].size;
  if (sealed_bytes == compacted_bytes_) return {};  // nothing new was sealed

  // The last offset of each key, the active segment included.
  std::unordered_map<std::string, int64_t, HeterogeneousHash, std::equal_to<>> last;
  size_t key_bytes = 0;
  Status malformed;
  const auto learn = [&](uint64_t, const BatchHeader& header, std::span<const uint8_t> batch) {
    if (header.compression() != 0 || !malformed) return;
    malformed = ForEachRecord(batch, header, [&](const Record& record) {
      if (!record.key) return true;
      const std::string_view key = KeyText(*record.key);
      if (auto found = last.find(key); found != last.end()) {
        found->second = record.offset;
      } else if (key_bytes < kMaxKeyBytes) {
        last.emplace(key, record.offset);
        key_bytes += key.size() + kKeyOverheadBytes;
      }
      return true;
    });
  };
  for (const Segment& segment : segments_) {
    auto file = OpenSegment(segment);
    if (!file) return Fail(file.error());
    auto scan = ScanSegment(**file, segment.size, segment.base_offset, learn);
    if (!scan) return Fail(scan.error());
    if (!malformed) return malformed;
  }
  const auto keep = [&](const Record& record) {
    if (!record.key) return true;  // has no key to be superseded by
    const auto found = last.find(KeyText(*record.key));
    if (found == last.end()) return true;
    if (record.offset < found->second) return false;
    const bool tombstone = !record.value;
    return !tombstone || record.timestamp_ms >= now_ms - options_.tombstone_retention_ms;
  };
  for (size_t i = 0; i + 1 < segments_.size(); ++i) {
    if (auto status = CompactSegment(i, keep); !status) return status;
  }
  compacted_bytes_ = 0;
  for (size_t i = 0; i + 1 < segments_.size(); ++i) compacted_bytes_ += segments_[i].size;
  return {};
}

Status PartitionLog::CompactSegment(size_t number, const std::function<bool(const Record&)>& keep) {
  const Segment& old = segments_[number];
  const std::string path = SegmentPath(dir_, old.base_offset, kLogSuffix);
  auto file = OpenSegment(old);
  if (!file) return Fail(file.error());
  auto rewritten = fs_.Open(path + ".tmp", fs::OpenMode::kCreate);
  if (!rewritten) return Fail(rewritten.error());
  if (auto status = (*rewritten)->Truncate(0); !status) return status;
  Segment compacted(old.base_offset);
  Status status;
  std::vector<uint8_t> copy;
  auto scan = ScanSegment(**file, old.size, old.base_offset,
                          [&](uint64_t, const BatchHeader& header, std::span<const uint8_t> batch) {
                            if (!status) return;
                            copy.assign(batch.begin(), batch.end());
                            if (header.compression() == 0) {
                              auto filtered = FilterBatch(batch, header, keep);
                              if (!filtered) {
                                status = Fail(filtered.error());
                                return;
                              }
                              copy = std::move(*filtered);
                              if (copy.empty()) return;
                            } else {
                              StampBatch(copy, header.base_offset, 0);
                            }
                            BatchHeader stored = header;
                            stored.size = static_cast<uint32_t>(copy.size());
                            status = (*rewritten)->WriteAt(compacted.size, copy);
                            compacted.Note(stored);
                          });
  if (!scan) return Fail(scan.error());
  if (!status) return status;
  if (!scan->damage.empty()) {
    // Recovery decides what to do with damage; compaction must not hide it.
    return Fail(ErrorCode::kCorrupt, path + ": damaged at byte " +
                                         std::to_string(scan->damage.front().begin) +
                                         "; restart the broker to quarantine it");
  }
  if (compacted.size == old.size) return fs_.Remove(path + ".tmp");
  compacted.next_offset = old.next_offset;
  if (status = (*rewritten)->Sync(); !status) return status;
  // Without an index the segment is scanned at the next start: no stale one may meet the new file.
  const std::string index = SegmentPath(dir_, old.base_offset, kIndexSuffix);
  status = fs_.Remove(index);
  if (!status && status.error().code() != ErrorCode::kNotFound) return status;
  if (status = fs_.SyncDir(dir_); !status) return status;
  std::lock_guard lock(mutex_);
  if (status = fs_.Rename(path + ".tmp", path); !status) return status;
  hint_segment_ = -1;
  segments_[number] = std::move(compacted);
  if (status = fs_.SyncDir(dir_); !status) return status;
  return fs::WriteFileAtomically(fs_, index, segments_[number].EncodeIndex());
}

}  // namespace edgeloop::stream
