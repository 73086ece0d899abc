// The Kafka record batch, format version 2 (https://kafka.apache.org/documentation/#recordbatch):
// the unit that producers send, the log stores and consumers fetch. The fields and what we put into
// the leader epoch on disk: docs/spec/stream-log.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::stream {

inline constexpr size_t kBatchHeaderBytes = 61;
inline constexpr size_t kBatchPrefixBytes = 12;    // base offset and length: outside of "length"
inline constexpr size_t kBatchCrcStartBytes = 21;  // the CRC covers everything from here
inline constexpr int64_t kNoProducerId = -1;
// How far a batch may lie behind the durable end of its segment: what fits in the commit mark.
inline constexpr uint32_t kMaxCommitDistanceBytes = (1u << 24) - 1;

struct BatchHeader {
  int64_t base_offset = 0;
  uint32_t size = 0;  // of the whole batch, these headers included
  uint32_t crc = 0;
  int16_t attributes = 0;
  int32_t last_offset_delta = 0;
  int64_t base_timestamp_ms = 0;
  int64_t max_timestamp_ms = 0;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  int32_t record_count = 0;
  uint32_t commit_mark = 0;  // on the wire: partition leader epoch

  int64_t next_offset() const { return base_offset + last_offset_delta + 1; }
  int compression() const { return attributes & 7; }
  bool log_append_time() const { return (attributes & 8) != 0; }
  bool transactional() const { return (attributes & 16) != 0; }
  bool control() const { return (attributes & 32) != 0; }
};

// Reads the header when `bytes` begins with one whose fields are possible; CRC not checked.
// `bytes` needs to hold kBatchHeaderBytes, not the whole batch.
std::optional<BatchHeader> ParseBatchHeader(std::span<const uint8_t> bytes);

// True when the CRC of the whole batch is right.
bool BatchCrcMatches(std::span<const uint8_t> batch);

struct Record {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<std::span<const uint8_t>> key;    // nullopt: null
  std::optional<std::span<const uint8_t>> value;  // nullopt: null, a tombstone in compacted topics
  std::span<const uint8_t> bytes;                 // the encoded record, its length prefix included
};

// Calls `visit` for each record of an uncompressed batch until it returns false. kCorrupt when the
// records do not fill the batch exactly as its header says.
Status ForEachRecord(std::span<const uint8_t> batch, const BatchHeader& header,
                     const std::function<bool(const Record&)>& visit);

// What a producer may append: exactly one whole batch, CRC right, no transaction, known
// compression, offsets counted from 0 without gaps, and, when uncompressed, well-formed records.
Expected<BatchHeader> CheckProducedBatch(std::span<const uint8_t> bytes);

// Writes the base offset and the commit mark: how many bytes before this batch were not yet durable
// when it was written (24 bits), and a check byte over offset, length and distance, which the CRC
// of the batch does not cover.
void StampBatch(std::span<uint8_t> batch, int64_t base_offset, uint32_t commit_distance_bytes);
// The commit distance, or nullopt when the check byte does not match.
std::optional<uint32_t> CommitDistance(const BatchHeader& header);
// For the wire: no leader epoch (-1).
void ClearCommitMark(std::span<uint8_t> batch);

// The batch without the records that `keep` refuses: offsets, timestamps and producer fields stay.
// Empty when none is left. The batch must be uncompressed.
Expected<std::vector<uint8_t>> FilterBatch(std::span<const uint8_t> batch,
                                           const BatchHeader& header,
                                           const std::function<bool(const Record&)>& keep);

}  // namespace edgeloop::stream
