#include "platform/mlops/dataset/snapshot.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "runtime/process/daemon.h"
#include "runtime/signing/signing.h"

namespace edgeloop::mlops {
namespace {

constexpr char kMagic[8] = {'E', 'L', 'S', 'N', 'A', 'P', '1', '\n'};
constexpr std::size_t kHeaderBytes = 28;    // magic and five u32
constexpr std::size_t kRowHeaderBytes = 8;  // before the features
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kMaxFeatures = 512;
constexpr std::size_t kMaxTextBytes = 255;

int CompareFeatures(const Row& a, const Row& b) {
  const std::size_t count = std::min(a.features.size(), b.features.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = std::bit_cast<std::uint32_t>(a.features[i]);
    const auto y = std::bit_cast<std::uint32_t>(b.features[i]);
    if (x != y) return x < y ? -1 : 1;
  }
  return a.features.size() < b.features.size() ? -1 : a.features.size() > b.features.size();
}

class Writer {
 public:
  void Integer(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void Text(const std::string& text) {
    Integer(text.size(), 1);
    out_.insert(out_.end(), text.begin(), text.end());
  }
  std::vector<std::uint8_t>& out() { return out_; }

 private:
  std::vector<std::uint8_t> out_;
};

class Parser {
 public:
  explicit Parser(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::size_t left() const { return bytes_.size() - at_; }
  std::uint64_t Integer(int count) {
    if (left() < static_cast<std::size_t>(count)) {
      good_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i) value |= std::uint64_t{bytes_[at_++]} << (8 * i);
    return value;
  }
  std::string Text() {
    const std::size_t size = Integer(1);
    if (left() < size) {
      good_ = false;
      return {};
    }
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + at_, size);
    at_ += size;
    return text;
  }
  bool good() const { return good_; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  bool good_ = true;
};

std::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "snapshot: " + what);
}

std::string PathOf(const std::string& dir, const std::string& hash) {
  return dir + "/" + hash.substr(hash.find(':') + 1) + ".elsnap";
}

}  // namespace

void Canonicalize(Snapshot* snapshot) {
  std::vector<Row>& rows = snapshot->rows;
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return CompareFeatures(a, b) < 0; });
  rows.erase(std::unique(rows.begin(), rows.end(),
                         [](const Row& a, const Row& b) { return CompareFeatures(a, b) == 0; }),
             rows.end());
}

std::vector<std::uint8_t> EncodeSnapshot(const Snapshot& snapshot) {
  std::map<std::string, std::uint16_t> labels;
  for (const Row& row : snapshot.rows) labels.emplace(row.label, 0);
  std::uint16_t next = 0;
  for (auto& [label, index] : labels) index = next++;

  Writer writer;
  writer.out().assign(kMagic, kMagic + sizeof kMagic);
  writer.Integer(snapshot.schema.sample_rate_hz, 4);
  writer.Integer(snapshot.schema.window_samples, 4);
  writer.Integer(snapshot.schema.names.size(), 4);
  writer.Integer(labels.size(), 4);
  writer.Integer(snapshot.rows.size(), 4);
  for (const std::string& name : snapshot.schema.names) writer.Text(name);
  for (const auto& [label, index] : labels) writer.Text(label);
  for (const Row& row : snapshot.rows) {
    writer.Integer(labels.at(row.label), 2);
    writer.Integer(row.faulty ? 1 : 0, 1);
    writer.Integer(static_cast<std::uint8_t>(row.purpose), 1);
    writer.Integer(row.fold, 1);
    writer.Integer(0, 1);
    writer.Integer(row.regime, 2);
    for (float value : row.features) writer.Integer(std::bit_cast<std::uint32_t>(value), 4);
  }
  // The digest as raw bytes, so that a damaged file is told from a foreign one.
  const std::string digest = signing::Sha256Digest(writer.out());
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    writer.Integer(std::stoul(digest.substr(digest.find(':') + 1 + 2 * i, 2), nullptr, 16), 1);
  }
  return std::move(writer.out());
}

std::string SnapshotHash(std::span<const std::uint8_t> encoding) {
  return signing::Sha256Digest(encoding.first(encoding.size() - kDigestBytes));
}

Expected<Snapshot> DecodeSnapshot(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kMaxSnapshotBytes) return Corrupt("larger than kMaxSnapshotBytes");
  if (bytes.size() < kHeaderBytes + kDigestBytes) return Corrupt("shorter than its header");
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return Corrupt("bad magic");
  Parser parser(bytes.subspan(sizeof kMagic, bytes.size() - sizeof kMagic - kDigestBytes));
  Snapshot snapshot;
  snapshot.schema.sample_rate_hz = static_cast<std::uint32_t>(parser.Integer(4));
  snapshot.schema.window_samples = static_cast<std::uint32_t>(parser.Integer(4));
  const std::size_t features = parser.Integer(4);
  const std::size_t label_count = parser.Integer(4);
  const std::size_t rows = parser.Integer(4);
  if (features == 0 || features > kMaxFeatures) return Corrupt("bad number of features");
  if (label_count > kMaxSnapshotLabels) return Corrupt("bad number of labels");
  if (rows > kMaxSnapshotRows) return Corrupt("bad number of rows");
  for (std::size_t i = 0; i < features && parser.good(); ++i) {
    snapshot.schema.names.push_back(parser.Text());
  }
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < label_count && parser.good(); ++i) labels.push_back(parser.Text());
  for (std::size_t i = 1; i < labels.size(); ++i) {
    if (labels[i - 1] >= labels[i]) return Corrupt("labels are not in order");
  }
  if (!parser.good() || parser.left() != rows * (kRowHeaderBytes + 4 * features)) {
    return Corrupt("size does not fit the header");
  }
  snapshot.rows.reserve(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    Row row;
    const std::size_t label = parser.Integer(2);
    const std::uint64_t faulty = parser.Integer(1);
    const std::uint64_t purpose = parser.Integer(1);
    const std::uint64_t fold = parser.Integer(1);
    const std::uint64_t reserved = parser.Integer(1);
    row.regime = static_cast<std::uint16_t>(parser.Integer(2));
    if (label >= labels.size() || faulty > 1 || purpose < 1 || purpose > 2 || fold >= kFolds ||
        reserved != 0) {
      return Corrupt("bad header of row " + std::to_string(i));
    }
    row.label = labels[label];
    row.faulty = faulty == 1;
    row.purpose = static_cast<Purpose>(purpose);
    row.fold = static_cast<std::uint8_t>(fold);
    row.features.reserve(features);
    for (std::size_t j = 0; j < features; ++j) {
      row.features.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(parser.Integer(4))));
      if (!std::isfinite(row.features.back())) {
        return Corrupt("a feature of row " + std::to_string(i) + " is not finite");
      }
    }
    if (i > 0 && CompareFeatures(snapshot.rows.back(), row) >= 0) {
      return Corrupt("row " + std::to_string(i) + " is out of order or doubled");
    }
    snapshot.rows.push_back(std::move(row));
  }
  // Last: the encoding is canonical, so equal content has equal bytes, checksum included.
  const std::vector<std::uint8_t> again = EncodeSnapshot(snapshot);
  if (!std::ranges::equal(again, bytes)) return Corrupt("checksum mismatch");
  return snapshot;
}

Expected<std::string> SaveSnapshot(const std::string& dir, const Snapshot& snapshot) {
  for (const Row& row : snapshot.rows) {
    if (row.label.size() > kMaxTextBytes) {
      return Fail(ErrorCode::kInvalidArgument, "snapshot: a label is longer than 255 bytes");
    }
  }
  if (snapshot.rows.size() > kMaxSnapshotRows) {
    return Fail(ErrorCode::kResourceExhausted, "snapshot: more than kMaxSnapshotRows rows");
  }
  std::error_code ignored;
  std::filesystem::create_directories(dir, ignored);
  const std::vector<std::uint8_t> bytes = EncodeSnapshot(snapshot);
  const std::string hash = SnapshotHash(bytes);
  const std::string path = PathOf(dir, hash);
  if (!std::filesystem::exists(path)) {
    const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (Status written = process::WriteFileAtomically(path, content, 0444); !written) {
      return Fail(written.error(), "snapshot");
    }
  }
  return hash;
}

Expected<Snapshot> LoadSnapshot(const std::string& dir, const std::string& hash) {
  Expected<std::string> content = process::ReadWholeFile(PathOf(dir, hash), kMaxSnapshotBytes);
  if (!content) return Fail(content.error(), "snapshot " + hash);
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(content->data()),
                                            content->size());
  Expected<Snapshot> snapshot = DecodeSnapshot(bytes);
  if (snapshot && SnapshotHash(bytes) != hash) {
    return Corrupt(PathOf(dir, hash) + " holds other content than its name says");
  }
  return snapshot;
}

}  // namespace edgeloop::mlops
