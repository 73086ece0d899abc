// The bytes of the record store: segment headers, frames, file names. docs/spec/record-store.md
// says the same in prose. Everything read here is hostile: a power failure or bit rot may have been
// at it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/ids/ids.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::gateway {

// Numbers are those of edgeloop.v1.RecordKind.
enum class Kind : uint8_t { kRaw = 1, kFeatures = 2, kAlarm = 3, kEvent = 4, kLoss = 5 };

// Segments are kept apart by what may be dropped first.
enum class LossClass : uint8_t { kRaw = 0, kFeatures = 1, kMain = 2 };
inline constexpr size_t kLossClasses = 3;
LossClass LossClassOf(Kind kind);

struct LossCounts {
  uint64_t raw = 0;
  uint64_t features = 0;
  uint64_t alarms = 0;  // alarms, events and older losses
  void Add(Kind kind);
  void Add(const LossCounts& other);
  uint64_t total() const { return raw + features + alarms; }
  friend bool operator==(const LossCounts&, const LossCounts&) = default;
};

// What a LOSS record tells: `counts` records with numbers within [first_seq, last_seq] are gone.
struct Loss {
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  LossCounts counts;
  uint64_t at_ns = 0;    // Unix time when it was noticed
  uint64_t segment = 0;  // number of the dropped segment, 0: none
  LossCounts totals;     // of this store since it was made, this loss included
  void Cover(uint64_t seq);
  void Cover(const Loss& other);
};

struct SegmentHeader {
  LossClass loss_class = LossClass::kMain;
  uint64_t number = 0;     // unique in the store, rising
  uint64_t boot = 0;       // of every record in it
  uint64_t first_seq = 0;  // no record in it has a smaller number
  RecordPosition acked;    // when the segment was made
  LossCounts dropped;      // totals when the segment was made
};

inline constexpr size_t kSegmentHeaderBytes = 88;
inline constexpr size_t kFrameHeaderBytes = 20;
inline constexpr size_t kLossBytes = 80;
inline constexpr size_t kMaxRecordBytes = 1u << 20;
// Larger record and boot numbers are damage: adding to them must not come round to zero.
inline constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

std::array<uint8_t, kSegmentHeaderBytes> EncodeSegmentHeader(const SegmentHeader& header);
Expected<SegmentHeader> DecodeSegmentHeader(std::span<const uint8_t> bytes);

// Appends one frame to `out`.
void EncodeRecordFrame(uint64_t seq, Kind kind, std::string_view payload,
                       std::vector<uint8_t>* out);
void EncodeAckFrame(const RecordPosition& acked, std::vector<uint8_t>* out);

std::string EncodeLoss(const Loss& loss);
Expected<Loss> DecodeLoss(std::string_view payload);

// One frame of a segment: a record, or the position up to which records are acknowledged.
struct Frame {
  uint64_t seq = 0;  // 0: `acked` is meant
  Kind kind = Kind::kEvent;
  std::string payload;
  RecordPosition acked;
};

// Reads a segment frame by frame. Stops at the first byte that is no whole valid frame: after a
// crash that is the end of what was written.
class SegmentReader {
 public:
  static Expected<SegmentReader> Open(fs::FileSystem& fs, const std::string& path);

  const SegmentHeader& header() const { return header_; }
  uint64_t offset() const { return offset_; }  // of the next frame
  void Seek(uint64_t offset) { offset_ = offset; }
  // nullopt: no further valid frame. Errors are of the file system.
  Expected<std::optional<Frame>> Next();

 private:
  std::unique_ptr<fs::File> file_;
  SegmentHeader header_;
  uint64_t offset_ = kSegmentHeaderBytes;
  uint64_t last_seq_ = 0;
};

// "<number, 16 hex digits>.raw|.features|.main"
std::string SegmentName(uint64_t number, LossClass loss_class);
// "<number>.lost-<first>-<last>-<raw>-<features>-<alarms>-<three totals>": a dropped segment whose
// LOSS record may not be durable yet. The name holds everything, so that marking a drop needs no
// free space.
std::string TombstoneName(const Loss& loss);

struct ParsedName {
  uint64_t number = 0;
  LossClass loss_class = LossClass::kMain;
  std::optional<Loss> tombstone;
};
std::optional<ParsedName> ParseName(std::string_view name);

}  // namespace edgeloop::gateway
