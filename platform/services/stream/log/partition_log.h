// The durable, ordered log of one partition: segments of record batches, appended by one writer
// thread, read by any. What Sync() has made durable is visible; nothing else is ever shown.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/log/producer_table.h"
#include "platform/services/stream/log/segment.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::stream {

struct LogOptions {
  uint64_t segment_bytes = 64ull << 20;
  int64_t retention_bytes = -1;                   // -1: no limit
  int64_t retention_ms = 7ll * 24 * 3600 * 1000;  // -1: no limit
  bool compact = false;                           // keep the last value of each key
  bool remove_old = true;                         // apply the retention limits
  int64_t tombstone_retention_ms = 24ll * 3600 * 1000;
  size_t max_producers = 2000;
};

// What opening a log found and did; each line is one sentence for the operator.
struct RecoveryReport {
  std::vector<std::string> notes;   // expected after a crash: a torn tail was cut
  std::vector<std::string> damage;  // acknowledged data was damaged: quarantined, later data kept
};

enum class AppendCode {
  kOk,
  kDuplicate,  // appended before: base_offset is the original one, and durable
  kOutOfOrderSequence,
  kStaleProducerEpoch,
  kStorageError,
};

struct AppendResult {
  AppendCode code = AppendCode::kOk;
  int64_t base_offset = -1;
  std::string detail;       // of a storage error
  uint64_t generation = 0;  // see PartitionLog::IsDurable()
};

struct OffsetRange {
  int64_t start = 0;  // oldest readable
  int64_t end = 0;    // next to be durable: the high watermark
};

struct TimestampedOffset {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
};

class PartitionLog {
 public:
  // `dir` exists. Recovers what a crash left.
  static Expected<std::unique_ptr<PartitionLog>> Open(fs::FileSystem& fs, std::string dir,
                                                      const LogOptions& options,
                                                      RecoveryReport* report);

  // --- The writer thread ---

  // Assigns offsets and writes `batch` (as CheckProducedBatch() returned it) without making it
  // durable; stamps its header in place. A duplicate of a batch not yet durable counts as unsynced.
  AppendResult Append(std::span<uint8_t> batch, const BatchHeader& header);
  // Makes everything appended durable and visible. On failure everything since the last success is
  // taken back: it was never acknowledged.
  Status Sync();
  // After Sync(): the appended batch (kOk or kDuplicate) is durable, none of its bytes taken back.
  bool IsDurable(const AppendResult& result) const;
  // Notes how much is durable, so that damage to the end is told from a torn tail at the next
  // Open().
  Status Close();
  bool unsynced() const { return write_end_ != active_durable_ || !pending_.empty(); }
  // Deletes the oldest segments beyond the retention limits.
  Status ApplyRetention(int64_t now_ms);
  // Keeps the last record of each key in all but the active segment. Batches that are compressed
  // stay whole, and their keys count.
  Status Compact(int64_t now_ms);
  void SetOptions(const LogOptions& options) { options_ = options; }

  // --- Any thread ---

  OffsetRange offsets() const;
  uint64_t size_bytes() const;
  // Appends whole batches from `offset` on to `out`, up to `max_bytes`, at least one when
  // `at_least_one` (and there is one). The first may begin before `offset`. Each CRC is checked.
  // kInvalidArgument: offset out of range; kCorrupt: the segment is damaged there.
  Status Read(int64_t offset, size_t max_bytes, bool at_least_one, std::vector<uint8_t>* out) const;
  // The first record at or after the time; in compressed batches the batch's first record.
  Expected<std::optional<TimestampedOffset>> FindTimestamp(int64_t timestamp_ms) const;

 private:
  PartitionLog(fs::FileSystem& fs, std::string dir, const LogOptions& options)
      : fs_(fs), dir_(std::move(dir)), options_(options), producers_(options.max_producers) {}

  // partition_recovery.cc
  Status Recover(RecoveryReport* report);
  Status LoadByScan(Segment* segment, uint64_t known_durable, RecoveryReport* report);
  Status Repair(const Segment& segment, fs::File& file, const SegmentScan& scan,
                uint64_t known_durable, uint64_t size, RecoveryReport* report);
  Status LoadProducers(RecoveryReport* report);

  Status Roll();
  void RollBack();
  Status DeleteOldest();
  // The first segment that holds records at or after the offset; end() when there are none.
  std::vector<Segment>::const_iterator FindSegment(int64_t offset) const;
  // False when the segment's last record comes before the offset after all (compaction took it).
  Expected<bool> ReadSegment(const Segment& segment, int64_t offset, size_t max_bytes,
                             bool at_least_one, std::vector<uint8_t>* out) const;
  Expected<std::unique_ptr<fs::File>> OpenSegment(const Segment& segment) const;

  // partition_compaction.cc
  Status CompactSegment(size_t number, const std::function<bool(const Record&)>& keep);

  fs::FileSystem& fs_;
  const std::string dir_;
  LogOptions options_;

  // Writer thread only.
  std::unique_ptr<fs::File> active_file_;
  uint64_t active_durable_ = 0;  // durable bytes of the active segment
  uint64_t write_end_ = 0;       // end of what was written to it
  int64_t log_end_offset_ = 0;
  bool dirty_tail_ = false;  // bytes beyond write_end_ may be in the file: cut before writing
  std::vector<BatchHeader> pending_;   // written, not yet durable
  uint64_t generation_ = 0;            // counts how often something was taken back
  std::deque<int64_t> taken_back_to_;  // the log's end after each of the last times
  ProducerTable producers_;
  uint64_t compacted_bytes_ = 0;  // sealed bytes that the last compaction left

  // Guards what readers see; only the writer thread changes it.
  mutable std::mutex mutex_;
  std::vector<Segment> segments_;  // the last is active; its size and offsets are the durable ones
  mutable int64_t hint_offset_ =
      -1;  // where the last read ended: sequential readers find it at once
  mutable int64_t hint_segment_ = -1;
  mutable uint32_t hint_position_ = 0;
};

}  // namespace edgeloop::stream
