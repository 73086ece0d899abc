// The bounded, crash-safe memory of one device between sensing and "durable in the stream".
// Format and rules: docs/spec/record-store.md.
//
//   device loop --Append()--> pending (memory) --Flush()--> segments (disk) --Read()--> publisher
//                                                 Acknowledge() frees segments
//
// A record is handed out by Read() only when it is durable, so a number once seen outside is never
// given to another record. Append() never touches the disk: a slow flash card cannot delay the
// loop.
//
// Threads: Append(), WaitForRoom() and stats() from any thread; Flush(), Read() and Acknowledge()
// from one thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/ids/ids.h"
#include "runtime/fs/file_system.h"
#include "things/gateway/store/record_format.h"

namespace edgeloop::gateway {

struct StoredRecord {
  RecordPosition position;
  Kind kind = Kind::kEvent;
  std::string payload;
};

struct StoreStats {
  uint64_t boot = 0;
  uint64_t produced = 0;     // number of the newest record = records ever made
  uint64_t durable_seq = 0;  // Read() gives nothing above
  uint64_t acked_seq = 0;
  LossCounts dropped;  // ever
  uint64_t disk_bytes = 0;
};

class RecordStore {
 public:
  struct Options {
    std::string dir;
    uint64_t max_bytes = 64u << 20;  // of all segments; at least 4 * segment_bytes
    uint64_t segment_bytes = 256u << 10;
    uint64_t max_pending_bytes = 512u << 10;      // in memory; alarms and events may use twice that
    std::function<uint64_t()> now_ns;             // Unix time
    std::function<void(bool at_once)> on_append;  // a Flush() is due: now, or when convenient
  };

  // Recovers what is on disk, makes a new boot number durable, and reports what has gone missing as
  // a LOSS record.
  static Expected<std::unique_ptr<RecordStore>> Open(fs::FileSystem& fs, Options options);

  uint64_t boot() const { return boot_; }

  // Gives the record the next number. When memory is full the record is lost, counted, and later
  // explained by a LOSS record: its number is given all the same.
  uint64_t Append(Kind kind, std::string payload);
  // Blocks until neither memory nor disk is over half full; false after `timeout`. For sources that
  // can wait (simulations faster than real time).
  bool WaitForRoom(std::chrono::milliseconds timeout);
  StoreStats stats() const;

  // Writes and syncs what is pending. After an error everything stays pending and a later Flush()
  // tries again.
  Status Flush();
  // Records after `after_seq` in order, up to `max_records` and about `max_bytes`.
  Status Read(uint64_t after_seq, size_t max_records, size_t max_bytes,
              std::vector<StoredRecord>* out);
  // Everything up to `position` is safe elsewhere. kInvalidArgument for a position that this store
  // has not reached: it was lost or replaced while the platform remembers more.
  Status Acknowledge(const RecordPosition& position);
  // Makes the acknowledged position durable: after a clean stop nothing is sent twice.
  Status Close();

 private:
  struct Segment {
    SegmentHeader header;
    uint64_t last_seq = 0;  // header.first_seq - 1 when it holds no record
    uint64_t bytes = 0;
    bool sealed = true;
  };
  struct Pending {
    uint64_t seq = 0;
    Kind kind = Kind::kEvent;
    std::string payload;
  };
  struct Cursor {
    std::optional<SegmentReader> reader;
    uint64_t number = 0;     // of the segment being read
    uint64_t after_seq = 0;  // all records before the reader's place are at or below
    std::optional<Frame> next;
  };
  struct Tombstone {
    std::string path;
    uint64_t loss_seq;  // may be removed when this is durable
  };

  RecordStore(fs::FileSystem& fs, Options options) : fs_(fs), options_(std::move(options)) {}

  Status Recover();
  struct Found;
  Status RecoverSegment(const ParsedName& name, Found* found);
  Status RecoverTombstone(const std::string& name, const Loss& loss, Found* found);
  void ExplainGaps(Found* found);

  std::string PathOf(const SegmentHeader& header) const;
  std::deque<Segment>& SegmentsOf(LossClass c) { return segments_[static_cast<size_t>(c)]; }
  Status StartSegment(LossClass loss_class, uint64_t first_seq);
  Status WriteBatch(const std::vector<Pending>& batch, bool write_ack);
  Status WriteFrames(LossClass loss_class, const std::vector<Pending>& batch, bool write_ack);
  Status SyncActive(LossClass loss_class, std::vector<uint8_t>* frames);
  void RollBack(LossClass loss_class, size_t segments, const Segment& last);
  // False when there is nothing left that may be dropped.
  Expected<bool> DropOldest();
  Status DropSegment(LossClass loss_class);
  Status WriteAck();
  Status RemoveAcknowledged();
  Status RemoveTombstones();
  uint64_t DiskBytes() const;
  bool AckWorthWriting() const;
  Expected<const Frame*> Peek(LossClass loss_class, uint64_t after_seq);
  // Appends a LOSS record; `tombstone` is removed when that is durable.
  void ReportLoss(Loss loss, std::string tombstone);
  void PublishDisk();

  fs::FileSystem& fs_;
  const Options options_;
  uint64_t boot_ = 1;

  // The disk side, one thread.
  std::array<std::deque<Segment>, kLossClasses> segments_;  // oldest first
  // Of the last segment of each class; null: start a new one.
  std::array<std::unique_ptr<fs::File>, kLossClasses> active_;
  bool names_changed_ = false;  // the directory has to be synced
  std::array<Cursor, kLossClasses> cursors_;
  std::vector<Tombstone> tombstones_;
  uint64_t next_number_ = 1;
  RecordPosition acked_;
  RecordPosition acked_on_disk_;
  uint64_t ack_written_ns_ = 0;
  LossCounts reported_;  // totals of the LOSS records in segments
  std::vector<std::pair<uint64_t, uint64_t>> boot_starts_;  // (boot, first number), rising

  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::deque<Pending> pending_;
  uint64_t pending_bytes_ = 0;
  Loss memory_loss_;  // what did not fit into memory
  uint64_t next_seq_ = 1;
  uint64_t durable_seq_ = 0;
  uint64_t acked_seq_ = 0;
  LossCounts dropped_;
  uint64_t disk_bytes_ = 0;
};

}  // namespace edgeloop::gateway
