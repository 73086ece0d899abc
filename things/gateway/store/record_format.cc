#include "things/gateway/store/record_format.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "core/base/crc32c.h"

namespace edgeloop::gateway {
namespace {

constexpr std::string_view kMagic = "ELRS0001";
constexpr uint8_t kAckFrame = 6;
constexpr size_t kAckBytes = 16;
constexpr std::array<std::string_view, kLossClasses> kClassSuffix = {".raw", ".features", ".main"};
constexpr std::string_view kLostMark = ".lost";

static_assert(std::endian::native == std::endian::little, "fields are copied as they lie");

template <typename T>
void Put(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(value));
}
template <typename T>
T Get(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

void EncodeFrame(uint64_t seq, uint8_t kind, std::string_view payload, std::vector<uint8_t>* out) {
  const size_t start = out->size();
  out->resize(start + kFrameHeaderBytes + payload.size());
  uint8_t* frame = out->data() + start;
  Put<uint32_t>(frame + 4, static_cast<uint32_t>(payload.size()));
  Put<uint64_t>(frame + 8, seq);
  Put<uint32_t>(frame + 16, kind);  // and three reserved zero bytes
  std::memcpy(frame + kFrameHeaderBytes, payload.data(), payload.size());
  Put<uint32_t>(frame, core::Crc32c({frame + 4, kFrameHeaderBytes - 4 + payload.size()}));
}

std::optional<uint64_t> ParseNumber(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string Hex16(uint64_t number) {
  std::array<char, 16> digits;
  digits.fill('0');
  std::array<char, 16> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, 16).ptr;
  const auto length = end - text.data();
  std::copy(text.data(), end, digits.data() + digits.size() - length);
  return {digits.data(), digits.size()};
}

}  // namespace

LossClass LossClassOf(Kind kind) {
  if (kind == Kind::kRaw) return LossClass::kRaw;
  return kind == Kind::kFeatures ? LossClass::kFeatures : LossClass::kMain;
}

void LossCounts::Add(Kind kind) {
  if (kind == Kind::kRaw) {
    ++raw;
  } else if (kind == Kind::kFeatures) {
    ++features;
  } else {
    ++alarms;
  }
}

void LossCounts::Add(const LossCounts& other) {
  raw += other.raw;
  features += other.features;
  alarms += other.alarms;
}

void Loss::Cover(uint64_t seq) {
  if (first_seq == 0 || seq < first_seq) first_seq = seq;
  last_seq = std::max(last_seq, seq);
}

void Loss::Cover(const Loss& other) {
  Cover(other.first_seq);
  Cover(other.last_seq);
  counts.Add(other.counts);
}

std::array<uint8_t, kSegmentHeaderBytes> EncodeSegmentHeader(const SegmentHeader& header) {
  std::array<uint8_t, kSegmentHeaderBytes> bytes{};
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  bytes[8] = static_cast<uint8_t>(header.loss_class);
  Put<uint64_t>(&bytes[16], header.number);
  Put<uint64_t>(&bytes[24], header.boot);
  Put<uint64_t>(&bytes[32], header.first_seq);
  Put<uint64_t>(&bytes[40], header.acked.boot);
  Put<uint64_t>(&bytes[48], header.acked.seq);
  Put<uint64_t>(&bytes[56], header.dropped.raw);
  Put<uint64_t>(&bytes[64], header.dropped.features);
  Put<uint64_t>(&bytes[72], header.dropped.alarms);
  Put<uint32_t>(&bytes[84], core::Crc32c({bytes.data(), 84}));
  return bytes;
}

Expected<SegmentHeader> DecodeSegmentHeader(std::span<const uint8_t> bytes) {
  if (bytes.size() < kSegmentHeaderBytes) {
    return Fail(ErrorCode::kCorrupt, "segment header is cut short");
  }
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return Fail(ErrorCode::kCorrupt, "not a record store segment (bad magic)");
  }
  if (Get<uint32_t>(&bytes[84]) != core::Crc32c(bytes.first(84))) {
    return Fail(ErrorCode::kCorrupt, "segment header checksum mismatch");
  }
  SegmentHeader header;
  header.number = Get<uint64_t>(&bytes[16]);
  header.boot = Get<uint64_t>(&bytes[24]);
  header.first_seq = Get<uint64_t>(&bytes[32]);
  header.acked = {Get<uint64_t>(&bytes[40]), Get<uint64_t>(&bytes[48])};
  header.dropped = {Get<uint64_t>(&bytes[56]), Get<uint64_t>(&bytes[64]),
                    Get<uint64_t>(&bytes[72])};
  if (bytes[8] >= kLossClasses || header.number == 0 || header.boot == 0 || header.first_seq == 0 ||
      header.number > kMaxNumber || header.boot > kMaxNumber || header.first_seq > kMaxNumber ||
      header.acked.boot > kMaxNumber || header.acked.seq > kMaxNumber) {
    return Fail(ErrorCode::kCorrupt, "segment header holds impossible values");
  }
  header.loss_class = static_cast<LossClass>(bytes[8]);
  return header;
}

void EncodeRecordFrame(uint64_t seq, Kind kind, std::string_view payload,
                       std::vector<uint8_t>* out) {
  EncodeFrame(seq, static_cast<uint8_t>(kind), payload, out);
}

void EncodeAckFrame(const RecordPosition& acked, std::vector<uint8_t>* out) {
  std::array<uint8_t, kAckBytes> payload;
  Put<uint64_t>(&payload[0], acked.boot);
  Put<uint64_t>(&payload[8], acked.seq);
  EncodeFrame(0, kAckFrame, {reinterpret_cast<const char*>(payload.data()), payload.size()}, out);
}

std::string EncodeLoss(const Loss& loss) {
  const std::array<uint64_t, kLossBytes / 8> fields = {
      loss.first_seq, loss.last_seq, loss.counts.raw, loss.counts.features, loss.counts.alarms,
      loss.at_ns,     loss.segment,  loss.totals.raw, loss.totals.features, loss.totals.alarms};
  return {reinterpret_cast<const char*>(fields.data()), kLossBytes};
}

Expected<Loss> DecodeLoss(std::string_view payload) {
  if (payload.size() != kLossBytes) {
    return Fail(ErrorCode::kCorrupt, "a LOSS record has " + std::to_string(payload.size()) +
                                         " bytes, not " + std::to_string(kLossBytes));
  }
  std::array<uint64_t, kLossBytes / 8> f;
  std::memcpy(f.data(), payload.data(), kLossBytes);
  Loss loss{f[0], f[1], {f[2], f[3], f[4]}, f[5], f[6], {f[7], f[8], f[9]}};
  if (loss.first_seq == 0 || loss.first_seq > loss.last_seq || loss.last_seq > kMaxNumber) {
    return Fail(ErrorCode::kCorrupt, "a LOSS record covers no numbers");
  }
  return loss;
}

Expected<SegmentReader> SegmentReader::Open(fs::FileSystem& fs, const std::string& path) {
  auto file = fs.Open(path, fs::OpenMode::kRead);
  if (!file) return Fail(file.error());
  std::array<uint8_t, kSegmentHeaderBytes> bytes;
  auto read = (*file)->ReadAt(0, bytes);
  if (!read) return Fail(read.error());
  auto header = DecodeSegmentHeader(std::span(bytes).first(*read));
  if (!header) return Fail(header.error(), path);
  SegmentReader reader;
  reader.file_ = std::move(*file);
  reader.header_ = *header;
  return reader;
}

Expected<std::optional<Frame>> SegmentReader::Next() {
  std::array<uint8_t, kFrameHeaderBytes> head;
  auto read = file_->ReadAt(offset_, head);
  if (!read) return Fail(read.error());
  if (*read < head.size()) return std::nullopt;
  const auto length = Get<uint32_t>(&head[4]);
  const auto seq = Get<uint64_t>(&head[8]);
  const auto kind = Get<uint32_t>(&head[16]);
  if (length > kMaxRecordBytes || kind < 1 || kind > kAckFrame) return std::nullopt;
  Frame frame;
  frame.payload.resize(length);
  read = file_->ReadAt(offset_ + kFrameHeaderBytes,
                       {reinterpret_cast<uint8_t*>(frame.payload.data()), length});
  if (!read) return Fail(read.error());
  if (*read < length) return std::nullopt;
  const uint32_t crc =
      core::Crc32c({reinterpret_cast<const uint8_t*>(frame.payload.data()), length},
                   core::Crc32c(std::span(head).subspan(4)));
  if (crc != Get<uint32_t>(&head[0])) return std::nullopt;
  if (kind == kAckFrame) {
    if (seq != 0 || length != kAckBytes) return std::nullopt;
    frame.acked = {Get<uint64_t>(frame.payload.data()), Get<uint64_t>(frame.payload.data() + 8)};
    if (frame.acked.boot > kMaxNumber || frame.acked.seq > kMaxNumber) return std::nullopt;
    frame.payload.clear();
  } else {
    if (seq < header_.first_seq || seq <= last_seq_ || seq > kMaxNumber) return std::nullopt;
    frame.kind = static_cast<Kind>(kind);
    if (LossClassOf(frame.kind) != header_.loss_class) return std::nullopt;
    frame.seq = last_seq_ = seq;
  }
  offset_ += kFrameHeaderBytes + length;
  return frame;
}

std::string SegmentName(uint64_t number, LossClass loss_class) {
  return Hex16(number).append(kClassSuffix[static_cast<size_t>(loss_class)]);
}

std::string TombstoneName(const Loss& loss) {
  std::string name = Hex16(loss.segment).append(kLostMark);
  for (uint64_t field :
       {loss.first_seq, loss.last_seq, loss.counts.raw, loss.counts.features, loss.counts.alarms,
        loss.totals.raw, loss.totals.features, loss.totals.alarms}) {
    name += '-';
    name += std::to_string(field);
  }
  return name;
}

std::optional<ParsedName> ParseName(std::string_view name) {
  if (name.size() < 16) return std::nullopt;
  const auto number = ParseNumber(name.substr(0, 16), 16);
  if (!number || *number == 0 || *number > kMaxNumber) return std::nullopt;
  ParsedName parsed{.number = *number};
  std::string_view rest = name.substr(16);
  for (size_t i = 0; i < kLossClasses; ++i) {
    if (rest == kClassSuffix[i]) {
      parsed.loss_class = static_cast<LossClass>(i);
      return parsed;
    }
  }
  if (!rest.starts_with(kLostMark)) return std::nullopt;
  rest.remove_prefix(kLostMark.size());
  std::array<uint64_t, 8> fields{};
  for (uint64_t& field : fields) {
    if (!rest.starts_with('-')) return std::nullopt;
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('-'), rest.size());
    const auto value = ParseNumber(rest.substr(0, end), 10);
    if (!value) return std::nullopt;
    field = *value;
    rest.remove_prefix(end);
  }
  if (!rest.empty() || fields[0] == 0 || fields[0] > fields[1] || fields[1] > kMaxNumber) {
    return std::nullopt;
  }
  parsed.tombstone = Loss{.first_seq = fields[0],
                          .last_seq = fields[1],
                          .counts = {fields[2], fields[3], fields[4]},
                          .segment = *number,
                          .totals = {fields[5], fields[6], fields[7]}};
  return parsed;
}

}  // namespace edgeloop::gateway
