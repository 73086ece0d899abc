// One file of a partition's log, "<base offset, 20 digits>.log", and its sparse index. Format:
// docs/spec/stream-log.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/log/record_batch.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::stream {

inline constexpr char kLogSuffix[] = ".log";
inline constexpr char kIndexSuffix[] = ".index";
inline constexpr char kProducersSuffix[] = ".producers";
inline constexpr int64_t kNoTimestamp = -1;
// A segment holds positions and relative offsets of 32 bits.
inline constexpr uint64_t kMaxSegmentBytes = 1ull << 31;

std::string SegmentPath(const std::string& dir, int64_t base_offset, const char* suffix);
// The base offset of a file name "<20 digits><suffix>", or nullopt.
std::optional<int64_t> ParseSegmentName(const std::string& name, const char* suffix);

// The batch that begins at `position` is the first of all with this offset or later.
struct IndexEntry {
  uint32_t relative_offset = 0;  // to the base offset of the segment
  uint32_t position = 0;
  int64_t max_timestamp_before_ms = kNoTimestamp;  // of all batches before `position`
};

struct Segment {
  int64_t base_offset = 0;
  int64_t next_offset = 0;  // of the record after the last
  uint64_t size = 0;
  int64_t max_timestamp_ms = kNoTimestamp;
  std::vector<IndexEntry> index;
  uint64_t next_index_position = 0;

  explicit Segment(int64_t base) : base_offset(base), next_offset(base) {}

  // Takes up the batch that begins at `size`.
  void Note(const BatchHeader& header);
  // Where to begin to look for a record with this offset, or with this timestamp or later.
  uint32_t FloorOffset(int64_t offset) const;
  uint32_t FloorTimestamp(int64_t timestamp_ms) const;

  std::vector<uint8_t> EncodeIndex() const;
  // Takes an index file; `size` is then that of the log when the index was written.
  Status DecodeIndex(std::span<const uint8_t> bytes);
};

struct DamagedRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  int64_t first_offset = 0;            // of the records lost
  std::optional<int64_t> next_offset;  // of the valid batch after them
};

struct SegmentScan {
  std::vector<DamagedRange> damage;  // in order; ends at the end of the file or at a valid batch
  // Everything before was durable when some batch was written: a valid batch says so.
  uint64_t proven_durable = 0;
};

// Reads all of `file` (its first `size` bytes), checks each batch (length, commit mark, CRC,
// offsets that only grow from `base_offset`) and calls `visit` for each valid one. After damage it
// goes on at the next valid batch. Memory is bounded by the largest batch.
Expected<SegmentScan> ScanSegment(const fs::File& file, uint64_t size, int64_t base_offset,
                                  const std::function<void(uint64_t position, const BatchHeader&,
                                                           std::span<const uint8_t> batch)>& visit);

}  // namespace edgeloop::stream
