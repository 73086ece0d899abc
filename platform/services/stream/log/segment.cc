#include "platform/services/stream/log/segment.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"

namespace edgeloop::stream {
namespace {

constexpr uint32_t kIndexMagic = 0x454C5349;  // "ELSI"
constexpr uint16_t kIndexVersion = 1;
constexpr size_t kIndexHeaderBytes = 36;
constexpr size_t kIndexEntryBytes = 16;
// A lookup reads at most about this much to find its batch; 16 bytes of memory for each.
constexpr uint64_t kIndexIntervalBytes = 64 * 1024;

constexpr size_t kScanBufferBytes = 256 * 1024;

// A window that slides forward over a file.
class FileWindow {
 public:
  FileWindow(const fs::File& file, uint64_t size) : file_(file), size_(size) {}

  // The bytes from `position`, `count` of them or all up to the end of the file.
  Expected<std::span<const uint8_t>> At(uint64_t position, size_t count) {
    count = static_cast<size_t>(std::min<uint64_t>(count, size_ - position));
    if (position < begin_ || position + count > begin_ + bytes_.size()) {
      const auto want = std::min<uint64_t>(std::max(count, kScanBufferBytes), size_ - position);
      bytes_.resize(static_cast<size_t>(want));
      auto read = file_.ReadAt(position, bytes_);
      if (!read) return Fail(read.error());
      bytes_.resize(*read);
      begin_ = position;
    }
    const auto at = static_cast<size_t>(position - begin_);
    return std::span<const uint8_t>(bytes_).subspan(at, std::min(count, bytes_.size() - at));
  }

 private:
  const fs::File& file_;
  const uint64_t size_;
  uint64_t begin_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace

std::string SegmentPath(const std::string& dir, int64_t base_offset, const char* suffix) {
  char name[32];
  std::snprintf(name, sizeof name, "%020" PRId64, base_offset);
  return dir + "/" + name + suffix;
}

std::optional<int64_t> ParseSegmentName(const std::string& name, const char* suffix) {
  constexpr size_t kDigits = 20;
  if (name.size() <= kDigits || name.substr(kDigits) != suffix) return std::nullopt;
  int64_t value = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    if (name[i] < '0' || name[i] > '9') return std::nullopt;
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, name[i] - '0', &value)) {
      return std::nullopt;
    }
  }
  return value;
}

void Segment::Note(const BatchHeader& header) {
  if (size >= next_index_position) {
    index.push_back({static_cast<uint32_t>(header.base_offset - base_offset),
                     static_cast<uint32_t>(size), max_timestamp_ms});
    next_index_position = size + kIndexIntervalBytes;
  }
  size += header.size;
  next_offset = header.next_offset();
  max_timestamp_ms = std::max(max_timestamp_ms, header.max_timestamp_ms);
}

uint32_t Segment::FloorOffset(int64_t offset) const {
  const auto after = std::ranges::upper_bound(index, offset, {}, [&](const IndexEntry& entry) {
    return base_offset + entry.relative_offset;
  });
  return after == index.begin() ? 0 : std::prev(after)->position;
}

uint32_t Segment::FloorTimestamp(int64_t timestamp_ms) const {
  // max_timestamp_before grows along the index: the last entry with only older batches before it.
  const auto after =
      std::ranges::lower_bound(index, timestamp_ms, {}, &IndexEntry::max_timestamp_before_ms);
  return after == index.begin() ? 0 : std::prev(after)->position;
}

std::vector<uint8_t> Segment::EncodeIndex() const {
  std::vector<uint8_t> out(kIndexHeaderBytes + index.size() * kIndexEntryBytes + 4);
  uint8_t* to = out.data();
  StoreBe(to, kIndexMagic);
  StoreBe(to + 4, kIndexVersion);
  StoreBe(to + 8, size);
  StoreBe(to + 16, next_offset);
  StoreBe(to + 24, max_timestamp_ms);
  StoreBe(to + 32, static_cast<uint32_t>(index.size()));
  to += kIndexHeaderBytes;
  for (const IndexEntry& entry : index) {
    StoreBe(to, entry.relative_offset);
    StoreBe(to + 4, entry.position);
    StoreBe(to + 8, entry.max_timestamp_before_ms);
    to += kIndexEntryBytes;
  }
  StoreBe(to, Crc32c(std::span(out).first(out.size() - 4)));
  return out;
}

Status Segment::DecodeIndex(std::span<const uint8_t> bytes) {
  const auto corrupt = [] { return Fail(ErrorCode::kCorrupt, "segment index is damaged"); };
  if (bytes.size() < kIndexHeaderBytes + 4) return corrupt();
  const std::span<const uint8_t> body = bytes.first(bytes.size() - 4);
  if (Crc32c(body) != LoadBe<uint32_t>(bytes.data() + body.size())) return corrupt();
  const uint8_t* from = bytes.data();
  const auto count = LoadBe<uint32_t>(from + 32);
  if (LoadBe<uint32_t>(from) != kIndexMagic || LoadBe<uint16_t>(from + 4) != kIndexVersion ||
      body.size() != kIndexHeaderBytes + uint64_t{count} * kIndexEntryBytes) {
    return corrupt();
  }
  size = LoadBe<uint64_t>(from + 8);
  next_offset = LoadBe<int64_t>(from + 16);
  max_timestamp_ms = LoadBe<int64_t>(from + 24);
  index.clear();
  index.reserve(count);
  from += kIndexHeaderBytes;
  for (uint32_t i = 0; i < count; ++i, from += kIndexEntryBytes) {
    index.push_back(
        {LoadBe<uint32_t>(from), LoadBe<uint32_t>(from + 4), LoadBe<int64_t>(from + 8)});
  }
  const auto position_beyond = [&](const IndexEntry& entry) { return entry.position >= size; };
  if (next_offset < base_offset || std::ranges::any_of(index, position_beyond)) return corrupt();
  return {};
}

Expected<SegmentScan> ScanSegment(
    const fs::File& file, uint64_t size, int64_t base_offset,
    const std::function<void(uint64_t position, const BatchHeader&,
                             std::span<const uint8_t> batch)>& visit) {
  FileWindow window(file, size);
  SegmentScan scan;
  int64_t expected_offset = base_offset;
  uint64_t position = 0;
  bool damaged = false;
  // Tries the batch at `position`; the header is returned when all of it is valid.
  const auto try_batch = [&](uint64_t at) -> Expected<std::optional<BatchHeader>> {
    auto head = window.At(at, kBatchHeaderBytes);
    if (!head) return Fail(head.error());
    const auto header = ParseBatchHeader(*head);
    if (!header || header->size > size - at || header->base_offset < expected_offset ||
        header->next_offset() - base_offset > INT32_MAX) {
      return std::optional<BatchHeader>{};
    }
    const auto distance = CommitDistance(*header);
    if (!distance || *distance > at) return std::optional<BatchHeader>{};
    auto batch = window.At(at, header->size);
    if (!batch) return Fail(batch.error());
    if (batch->size() != header->size || !BatchCrcMatches(*batch)) {
      return std::optional<BatchHeader>{};
    }
    return header;
  };
  while (position < size) {
    auto header = try_batch(position);
    if (!header) return Fail(header.error());
    if (!*header) {
      if (!damaged) scan.damage.push_back({position, size, expected_offset, std::nullopt});
      damaged = true;
      ++position;
      continue;
    }
    if (damaged) {
      scan.damage.back().end = position;
      scan.damage.back().next_offset = (*header)->base_offset;
    }
    damaged = false;
    scan.proven_durable =
        std::max<uint64_t>(scan.proven_durable, position - CommitDistance(**header).value());
    auto batch = window.At(position, (*header)->size);
    if (!batch) return Fail(batch.error());
    visit(position, **header, *batch);
    expected_offset = (*header)->next_offset();
    position += (*header)->size;
  }
  return scan;
}

}  // namespace edgeloop::stream
