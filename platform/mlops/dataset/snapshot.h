// A frozen data set: the rows one model is trained and validated on. Named by the SHA-256 of its
// content, so that the same windows give the same name on any machine. Format:
// docs/spec/snapshot.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::mlops {

inline constexpr std::size_t kMaxSnapshotRows = 200'000;
inline constexpr std::size_t kMaxSnapshotBytes = 512u << 20;
inline constexpr std::size_t kMaxSnapshotLabels = 1'000;
inline constexpr unsigned kFolds = 4;  // contiguous parts of each labelled interval

// What every row of a data set has in common: the same pipeline made them.
struct FeatureSchema {
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t window_samples = 0;
  std::vector<std::string> names;
  bool operator==(const FeatureSchema&) const = default;
};

enum class Purpose : std::uint8_t { kTraining = 1, kValidation = 2 };

struct Row {
  std::vector<float> features;
  std::string label;  // the operator's word, "healthy" or a fault
  bool faulty = false;
  Purpose purpose = Purpose::kTraining;
  std::uint8_t fold = 0;     // 0..kFolds-1: windows of one fold never overlap those of another
  std::uint16_t regime = 0;  // rows of one labelled stretch of operation share a number
  bool operator==(const Row&) const = default;
};

struct Snapshot {
  FeatureSchema schema;
  std::vector<Row> rows;  // in canonical order, see Canonicalize()
  bool operator==(const Snapshot&) const = default;
};

// Orders the rows by content and keeps one of each set of equal features.
void Canonicalize(Snapshot* snapshot);

// `snapshot` must be canonical.
std::vector<std::uint8_t> EncodeSnapshot(const Snapshot& snapshot);
Expected<Snapshot> DecodeSnapshot(std::span<const std::uint8_t> bytes);

// "sha256:<hex>" of the encoding without its trailing checksum.
std::string SnapshotHash(std::span<const std::uint8_t> encoding);

// Writes `<dir>/<hex>.elsnap` whole or not at all and returns the hash. A file already there is
// left: its name says what is in it.
Expected<std::string> SaveSnapshot(const std::string& dir, const Snapshot& snapshot);
Expected<Snapshot> LoadSnapshot(const std::string& dir, const std::string& hash);

}  // namespace edgeloop::mlops
