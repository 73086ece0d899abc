#include "platform/services/stream/log/record_batch.h"

#include <algorithm>
#include <array>
#include <string>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"

namespace edgeloop::stream {
namespace {

constexpr int8_t kMagic = 2;
constexpr int kMaxCompression = 4;  // none, gzip, snappy, lz4, zstd

// Byte positions in the header.
constexpr size_t kLengthAt = 8;
constexpr size_t kLeaderEpochAt = 12;
constexpr size_t kMagicAt = 16;
constexpr size_t kCrcAt = 17;
constexpr size_t kAttributesAt = 21;
constexpr size_t kLastOffsetDeltaAt = 23;
constexpr size_t kBaseTimestampAt = 27;
constexpr size_t kMaxTimestampAt = 35;
constexpr size_t kProducerIdAt = 43;
constexpr size_t kProducerEpochAt = 51;
constexpr size_t kBaseSequenceAt = 53;
constexpr size_t kRecordCountAt = 57;

// Reads varints and bytes of records; after the first error everything reads as nothing.
class RecordReader {
 public:
  explicit RecordReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t left() const { return bytes_.size() - at_; }
  size_t at() const { return at_; }

  int64_t Varint() {  // zigzag
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) break;
      const uint8_t byte = bytes_[at_++];
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) {
        return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
      }
    }
    ok_ = false;
    return 0;
  }

  std::span<const uint8_t> Bytes(int64_t count) {
    if (count < 0 || static_cast<uint64_t>(count) > left()) {
      ok_ = false;
      return {};
    }
    const auto result = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return result;
  }

  std::optional<std::span<const uint8_t>> NullableBytes() {
    const int64_t length = Varint();
    if (length < 0) {
      if (length != -1) ok_ = false;
      return std::nullopt;
    }
    return Bytes(length);
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

uint8_t MarkCheck(int64_t base_offset, uint32_t size, uint32_t distance) {
  std::array<uint8_t, 16> bytes;
  StoreBe(bytes.data(), base_offset);
  StoreBe(bytes.data() + 8, size);
  StoreBe(bytes.data() + 12, distance);
  return static_cast<uint8_t>(Crc32c(bytes));
}

}  // namespace

std::optional<BatchHeader> ParseBatchHeader(std::span<const uint8_t> bytes) {
  if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
  const uint8_t* at = bytes.data();
  BatchHeader header;
  const auto length = LoadBe<int32_t>(at + kLengthAt);
  if (length < static_cast<int32_t>(kBatchHeaderBytes - kBatchPrefixBytes)) return std::nullopt;
  if (static_cast<int8_t>(at[kMagicAt]) != kMagic) return std::nullopt;
  header.base_offset = LoadBe<int64_t>(at);
  header.size = static_cast<uint32_t>(length) + kBatchPrefixBytes;
  header.commit_mark = LoadBe<uint32_t>(at + kLeaderEpochAt);
  header.crc = LoadBe<uint32_t>(at + kCrcAt);
  header.attributes = LoadBe<int16_t>(at + kAttributesAt);
  header.last_offset_delta = LoadBe<int32_t>(at + kLastOffsetDeltaAt);
  header.base_timestamp_ms = LoadBe<int64_t>(at + kBaseTimestampAt);
  header.max_timestamp_ms = LoadBe<int64_t>(at + kMaxTimestampAt);
  header.producer_id = LoadBe<int64_t>(at + kProducerIdAt);
  header.producer_epoch = LoadBe<int16_t>(at + kProducerEpochAt);
  header.base_sequence = LoadBe<int32_t>(at + kBaseSequenceAt);
  header.record_count = LoadBe<int32_t>(at + kRecordCountAt);
  if (header.base_offset < 0 || header.last_offset_delta < 0 || header.record_count < 0 ||
      header.base_offset > INT64_MAX - header.last_offset_delta - 1) {
    return std::nullopt;
  }
  return header;
}

bool BatchCrcMatches(std::span<const uint8_t> batch) {
  return batch.size() >= kBatchHeaderBytes &&
         Crc32c(batch.subspan(kBatchCrcStartBytes)) == LoadBe<uint32_t>(batch.data() + kCrcAt);
}

Status ForEachRecord(std::span<const uint8_t> batch, const BatchHeader& header,
                     const std::function<bool(const Record&)>& visit) {
  if (batch.size() != header.size) {
    return Fail(ErrorCode::kCorrupt, "record batch: size differs from its header");
  }
  const std::span<const uint8_t> body = batch.subspan(kBatchHeaderBytes);
  RecordReader reader(body);
  for (int32_t i = 0; i < header.record_count; ++i) {
    const size_t begin = reader.at();
    const int64_t length = reader.Varint();
    RecordReader record(reader.Bytes(length));
    record.Bytes(1);  // attributes: unused by the format
    const int64_t timestamp_delta = record.Varint();
    const int64_t offset_delta = record.Varint();
    Record out;
    out.key = record.NullableBytes();
    out.value = record.NullableBytes();
    const int64_t header_count = record.Varint();
    if (header_count < 0) {
      return Fail(ErrorCode::kCorrupt, "record " + std::to_string(i) + ": negative header count");
    }
    for (int64_t h = 0; h < header_count && record.ok(); ++h) {
      record.Bytes(record.Varint());
      record.NullableBytes();
    }
    if (!reader.ok() || !record.ok() || record.left() != 0 || offset_delta < 0 ||
        offset_delta > header.last_offset_delta) {
      return Fail(ErrorCode::kCorrupt, "record " + std::to_string(i) + " is malformed");
    }
    out.offset = header.base_offset + offset_delta;
    // Wraps instead of overflowing: the delta comes from outside.
    out.timestamp_ms = static_cast<int64_t>(static_cast<uint64_t>(header.base_timestamp_ms) +
                                            static_cast<uint64_t>(timestamp_delta));
    out.bytes = body.subspan(begin, reader.at() - begin);
    if (!visit(out)) return {};
  }
  if (reader.left() != 0) {
    return Fail(ErrorCode::kCorrupt,
                std::to_string(reader.left()) + " bytes after the last record");
  }
  return {};
}

Expected<BatchHeader> CheckProducedBatch(std::span<const uint8_t> bytes) {
  const auto header = ParseBatchHeader(bytes);
  if (!header) return Fail(ErrorCode::kCorrupt, "not a record batch of version 2");
  if (header->size != bytes.size()) {
    return Fail(ErrorCode::kInvalidArgument, "exactly one record batch per partition is accepted");
  }
  if (!BatchCrcMatches(bytes)) return Fail(ErrorCode::kCorrupt, "CRC-32C mismatch");
  if (header->transactional() || header->control()) {
    return Fail(ErrorCode::kInvalidArgument, "transactions are not supported");
  }
  if (header->log_append_time()) {
    return Fail(ErrorCode::kInvalidArgument, "producers send create time, not log append time");
  }
  if (header->compression() > kMaxCompression) {
    return Fail(ErrorCode::kInvalidArgument, "unknown compression");
  }
  if (header->record_count < 1 || header->record_count - 1 != header->last_offset_delta) {
    return Fail(ErrorCode::kInvalidArgument, "record count and last offset delta disagree");
  }
  if (header->producer_id != kNoProducerId &&
      (header->producer_id < 0 || header->producer_epoch < 0 || header->base_sequence < 0)) {
    return Fail(ErrorCode::kInvalidArgument, "negative producer epoch or sequence");
  }
  if (header->compression() == 0) {
    int64_t expected = header->base_offset;
    bool counted = true;
    auto status = ForEachRecord(bytes, *header, [&](const Record& record) {
      counted = counted && record.offset == expected++;
      return true;
    });
    if (!status) return Fail(ErrorCode::kInvalidArgument, status.error().message());
    if (!counted) return Fail(ErrorCode::kInvalidArgument, "offset deltas do not count up by one");
  }
  return *header;
}

void StampBatch(std::span<uint8_t> batch, int64_t base_offset, uint32_t commit_distance_bytes) {
  const uint32_t distance = std::min(commit_distance_bytes, kMaxCommitDistanceBytes);
  const uint32_t size = LoadBe<uint32_t>(batch.data() + kLengthAt) + kBatchPrefixBytes;
  StoreBe(batch.data(), base_offset);
  StoreBe(batch.data() + kLeaderEpochAt, distance << 8 | MarkCheck(base_offset, size, distance));
}

std::optional<uint32_t> CommitDistance(const BatchHeader& header) {
  const uint32_t distance = header.commit_mark >> 8;
  if ((header.commit_mark & 0xFF) != MarkCheck(header.base_offset, header.size, distance)) {
    return std::nullopt;
  }
  return distance;
}

void ClearCommitMark(std::span<uint8_t> batch) {
  StoreBe<int32_t>(batch.data() + kLeaderEpochAt, -1);
}

Expected<std::vector<uint8_t>> FilterBatch(std::span<const uint8_t> batch,
                                           const BatchHeader& header,
                                           const std::function<bool(const Record&)>& keep) {
  std::vector<uint8_t> out(batch.begin(), batch.begin() + kBatchHeaderBytes);
  int32_t kept = 0;
  auto status = ForEachRecord(batch, header, [&](const Record& record) {
    if (keep(record)) {
      out.insert(out.end(), record.bytes.begin(), record.bytes.end());
      ++kept;
    }
    return true;
  });
  if (!status) return Fail(status.error());
  if (kept == 0) return std::vector<uint8_t>{};
  StoreBe(out.data() + kLengthAt, static_cast<uint32_t>(out.size() - kBatchPrefixBytes));
  StoreBe(out.data() + kRecordCountAt, kept);
  StoreBe(out.data() + kCrcAt, Crc32c(std::span(out).subspan(kBatchCrcStartBytes)));
  StampBatch(out, header.base_offset, 0);
  return out;
}

}  // namespace edgeloop::stream
