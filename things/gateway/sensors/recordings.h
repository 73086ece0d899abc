// A folder of recordings, described by its index.csv (columns found by name, see README.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::sensors {

inline constexpr size_t kMaxIndexBytes = 8u << 20;
inline constexpr size_t kMaxRecordings = 20'000;
inline constexpr size_t kMaxRecordingBytes = 128u << 20;

enum class Encoding { kI16, kF32, kCsv, kWav };
std::string_view EncodingName(Encoding encoding);

// Numbers that describe the operating point, in the order of the index's columns.
using Conditions = std::vector<std::pair<std::string, double>>;
// "speed_rpm=1800, extra_load_lb=0"
std::string ToString(const Conditions& conditions);

struct Recording {
  std::string file;  // relative to the folder
  Encoding encoding = Encoding::kI16;
  uint32_t sample_rate_hz = 0;
  uint8_t channels = 0;
  uint64_t samples = 0;  // frames, i.e. a channel
  std::vector<std::string> channel_names;
  std::vector<std::string> units;
  std::vector<double> scale;  // value = stored * scale + offset, one a channel
  std::vector<double> offset;
  std::string label;
  bool faulty = false;  // from the column, else: the label is neither "normal" nor "healthy"
  Conditions conditions;
};

struct Catalogue {
  std::string dir;
  std::vector<std::string> condition_names;  // in the order of the index
  std::vector<Recording> recordings;
};

// The text of an index.csv alone: samples, rate and channels are 0 where it does not tell them.
Expected<Catalogue> ParseIndex(std::string_view text);

// Reads the index and looks at each file's size (WAV: its head, CSV: all of it) where the index is
// silent.
Expected<Catalogue> ReadCatalogue(const std::string& dir);

// What most recordings have (ties: the first of the index): a source or a plan uses only one rate
// and number of channels.
struct RateAndChannels {
  uint32_t sample_rate_hz = 0;
  uint8_t channels = 0;
};
RateAndChannels MainFormat(const Catalogue& catalogue);

// The whole recording, interleaved, in physical units.
Expected<std::vector<float>> ReadSamples(const std::string& dir, const Recording& recording);

}  // namespace edgeloop::sensors
