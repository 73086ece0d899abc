#include "things/gateway/sensors/recordings.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "things/gateway/sensors/sample_text.h"
#include "things/gateway/sensors/source.h"
#include "things/gateway/sensors/table.h"
#include "things/gateway/sensors/wav.h"

namespace edgeloop::sensors {
namespace {

// Columns that describe the file, the fault or a check of the reader, not the operating point.
constexpr std::string_view kNotConditions[] = {
    "file",      "format", "encoding", "bits",     "rate_hz", "sample_rate_hz", "channels",
    "n_samples", "rows",   "frames",   "samples",  "unit",    "label",          "faulty",
    "sensor",    "what",   "note",     "duration", "class",   "repetition"};
constexpr std::string_view kNotConditionPrefixes[] = {
    "scale", "offset", "ac_rms",      "rms",    "kurtosis", "peak",   "source",
    "fault", "anomal", "changepoint", "first_", "last_",    "total_", "has_"};
constexpr std::string_view kNotConditionSuffixes[] = {"_no", "_id"};
constexpr size_t kMaxPathLength = 512;

bool MayBeCondition(std::string_view column) {
  for (std::string_view name : kNotConditions) {
    if (column == name) return false;
  }
  for (std::string_view prefix : kNotConditionPrefixes) {
    if (column.starts_with(prefix)) return false;
  }
  for (std::string_view suffix : kNotConditionSuffixes) {
    if (column.ends_with(suffix)) return false;
  }
  return !column.empty();
}

// A relative path that stays in its folder.
bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathLength || path.front() == '/') return false;
  if (path.find('\0') != path.npos || path.find('\\') != path.npos) return false;
  for (const auto& part : std::filesystem::path(path)) {
    if (part == "..") return false;
  }
  return true;
}

Expected<Encoding> EncodingOf(std::string_view file, std::string_view format) {
  if (format == "i16le") return Encoding::kI16;
  if (format == "f32le") return Encoding::kF32;
  if (!format.empty()) {
    return Fail(ErrorCode::kCorrupt,
                "format '" + std::string(format.substr(0, 40)) + "' is unknown (i16le, f32le)");
  }
  if (file.ends_with(".i16")) return Encoding::kI16;
  if (file.ends_with(".f32")) return Encoding::kF32;
  if (file.ends_with(".wav")) return Encoding::kWav;
  if (file.ends_with(".csv") || file.ends_with(".txt")) return Encoding::kCsv;
  return Fail(ErrorCode::kCorrupt,
              "'" + std::string(file) + "' is of no known kind (.i16, .f32, .csv, .txt, .wav)");
}

// Where the index keeps scales and offsets: one column for all channels, or one a channel.
struct Calibration {
  int scale_all = -1, offset_all = -1;
  std::string unit;
  std::vector<std::pair<std::string, int>> scale, offset;  // channel name, column
};

Calibration FindCalibration(const Table& table) {
  Calibration found;
  for (size_t c = 0; c < table.header.size(); ++c) {
    const std::string& name = table.header[c];
    const int column = static_cast<int>(c);
    if (name == "scale") {
      found.scale_all = column;
    } else if (name == "scale_g") {
      found.scale_all = column;
      found.unit = "g";
    } else if (name.starts_with("scale_") && name.ends_with("_per_count")) {
      found.scale_all = column;
      found.unit = name.substr(6, name.size() - 6 - 10);
    } else if (name.starts_with("scale_")) {
      found.scale.emplace_back(name.substr(6), column);
    } else if (name == "offset") {
      found.offset_all = column;
    } else if (name.starts_with("offset_")) {
      found.offset.emplace_back(name.substr(7), column);
    }
  }
  return found;
}

class IndexReader {
 public:
  explicit IndexReader(const Table& table)
      : table_(table),
        calibration_(FindCalibration(table)),
        file_(table.Find({"file"})),
        format_(table.Find({"format"})),
        rate_(table.Find({"rate_hz", "sample_rate_hz"})),
        channels_(table.Find({"channels"})),
        samples_(table.Find({"n_samples", "frames", "rows", "samples"})),
        label_(table.Find({"label"})),
        faulty_(table.Find({"faulty"})),
        unit_(table.Find({"unit"})) {}

  Expected<Catalogue> Read() {
    if (file_ < 0) return Fail(ErrorCode::kCorrupt, "no column 'file'");
    Catalogue catalogue;
    std::vector<size_t> conditions;
    for (size_t c = 0; c < table_.header.size(); ++c) {
      if (!MayBeCondition(table_.header[c]) || !IsNumeric(c)) continue;
      conditions.push_back(c);
      catalogue.condition_names.push_back(table_.header[c]);
    }
    std::set<std::string> seen;
    for (size_t r = 0; r < table_.rows.size(); ++r) {
      auto recording = ReadRow(table_.rows[r], conditions);
      const std::string where = "line " + std::to_string(table_.lines[r]);
      if (!recording) return Fail(recording.error(), where);
      if (!seen.insert(recording->file).second) {
        return Fail(ErrorCode::kCorrupt, where + ": '" + recording->file + "' is listed twice");
      }
      catalogue.recordings.push_back(std::move(*recording));
    }
    if (catalogue.recordings.empty()) return Fail(ErrorCode::kCorrupt, "no recordings listed");
    return catalogue;
  }

 private:
  bool IsNumeric(size_t column) const {
    double ignored;
    for (const auto& row : table_.rows) {
      if (!ParseNumber(row[column], &ignored)) return false;
    }
    return !table_.rows.empty();
  }

  // A whole number in 1..max; 0 where the column or the field is empty.
  Status Whole(const std::vector<std::string>& row, int column, uint64_t max, uint64_t* out) const {
    *out = 0;
    if (column < 0 || row[static_cast<size_t>(column)].empty()) return {};
    double value = 0;
    if (!ParseNumber(row[static_cast<size_t>(column)], &value) || value != std::floor(value) ||
        value < 1 || value > static_cast<double>(max)) {
      return Fail(ErrorCode::kCorrupt, table_.header[static_cast<size_t>(column)] +
                                           ": must be a whole number in 1.." + std::to_string(max));
    }
    *out = static_cast<uint64_t>(value);
    return {};
  }

  Status Number(const std::vector<std::string>& row, int column, double* out) const {
    if (!ParseNumber(row[static_cast<size_t>(column)], out) || std::abs(*out) > 1e30) {
      return Fail(ErrorCode::kCorrupt,
                  table_.header[static_cast<size_t>(column)] + ": is not a number in -1e30..1e30");
    }
    return {};
  }

  Status ReadCalibration(const std::vector<std::string>& row, Recording* recording) const {
    double scale = 1, offset = 0;
    if (calibration_.scale_all >= 0) {
      if (Status s = Number(row, calibration_.scale_all, &scale); !s) return s;
    }
    if (calibration_.offset_all >= 0) {
      if (Status s = Number(row, calibration_.offset_all, &offset); !s) return s;
    }
    const size_t channels = recording->channels;
    // One even where the file will tell how many channels there are: SetChannels() spreads it.
    recording->scale.assign(std::max<size_t>(channels, 1), scale);
    recording->offset.assign(std::max<size_t>(channels, 1), offset);
    if (!calibration_.scale.empty()) {
      if (calibration_.scale.size() < channels) {
        return Fail(ErrorCode::kCorrupt, std::to_string(channels) + " channels, but only " +
                                             std::to_string(calibration_.scale.size()) +
                                             " columns scale_*");
      }
      for (size_t i = 0; i < channels; ++i) {
        const auto& [name, column] = calibration_.scale[i];
        if (Status s = Number(row, column, &recording->scale[i]); !s) return s;
        recording->channel_names[i] = name;
        for (const auto& [offset_name, offset_column] : calibration_.offset) {
          if (offset_name != name) continue;
          if (Status s = Number(row, offset_column, &recording->offset[i]); !s) return s;
        }
      }
    }
    return {};
  }

  Expected<Recording> ReadRow(const std::vector<std::string>& row,
                              const std::vector<size_t>& conditions) const {
    const auto text = [&](int column) {
      return column < 0 ? std::string() : row[static_cast<size_t>(column)];
    };
    Recording recording;
    recording.file = text(file_);
    if (!IsSafePath(recording.file)) {
      return Fail(ErrorCode::kCorrupt, "file: '" + recording.file.substr(0, 80) +
                                           "' must be a relative path within the folder");
    }
    auto encoding = EncodingOf(recording.file, text(format_));
    if (!encoding) return Fail(encoding.error());
    recording.encoding = *encoding;
    uint64_t rate = 0, channels = 0;
    if (Status s = Whole(row, rate_, kMaxSampleRateHz, &rate); !s) return Fail(s.error());
    if (Status s = Whole(row, channels_, kMaxChannels, &channels); !s) return Fail(s.error());
    if (Status s = Whole(row, samples_, kMaxRecordingBytes, &recording.samples); !s) {
      return Fail(s.error());
    }
    recording.sample_rate_hz = static_cast<uint32_t>(rate);
    const bool raw = recording.encoding == Encoding::kI16 || recording.encoding == Encoding::kF32;
    if (raw && rate == 0) return Fail(ErrorCode::kCorrupt, "rate_hz is missing");
    if (raw && channels == 0) channels = std::max<size_t>(calibration_.scale.size(), 1);
    if (channels > kMaxChannels) {
      return Fail(ErrorCode::kCorrupt, "more than " + std::to_string(kMaxChannels) + " channels");
    }
    recording.channels = static_cast<uint8_t>(channels);
    for (size_t i = 0; i < channels; ++i) {
      recording.channel_names.push_back("ch" + std::to_string(i));
    }
    recording.units.assign(channels, unit_ >= 0 ? text(unit_) : calibration_.unit);
    if (Status s = ReadCalibration(row, &recording); !s) return Fail(s.error());
    recording.label = text(label_);
    if (faulty_ >= 0) {
      const std::string flag = text(faulty_);
      if (flag != "0" && flag != "1") return Fail(ErrorCode::kCorrupt, "faulty: must be 0 or 1");
      recording.faulty = flag == "1";
    } else if (label_ >= 0) {
      recording.faulty = recording.label != "normal" && recording.label != "healthy";
    }
    for (size_t column : conditions) {
      double value = 0;
      ParseNumber(row[column], &value);  // IsNumeric() has seen it
      recording.conditions.emplace_back(table_.header[column], value);
    }
    return recording;
  }

  const Table& table_;
  const Calibration calibration_;
  const int file_, format_, rate_, channels_, samples_, label_, faulty_, unit_;
};

Expected<std::string> ReadHead(const std::string& path, size_t max_bytes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(ErrorCode::kNotFound, path + ": cannot be opened");
  std::string bytes(max_bytes, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(max_bytes));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

Expected<std::string> ReadWhole(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) return Fail(ErrorCode::kNotFound, path + ": " + error.message());
  if (size > max_bytes) {
    return Fail(
        ErrorCode::kResourceExhausted,
        path + ": " + std::to_string(size) + " bytes, more than " + std::to_string(max_bytes));
  }
  return ReadHead(path, size);
}

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// What the index says must be what the file holds.
template <typename T>
Status Agree(std::string_view what, uint64_t found, T* told) {
  if (*told != 0 && *told != found) {
    return Fail(ErrorCode::kCorrupt, "the index tells " + std::to_string(*told) + " " +
                                         std::string(what) + ", the file holds " +
                                         std::to_string(found));
  }
  *told = static_cast<T>(found);
  return {};
}

void SetChannels(size_t channels, Recording* recording) {
  recording->channels = static_cast<uint8_t>(channels);
  recording->scale.resize(channels, recording->scale.front());
  recording->offset.resize(channels, recording->offset.front());
  recording->units.resize(channels);
  for (size_t i = recording->channel_names.size(); i < channels; ++i) {
    recording->channel_names.push_back("ch" + std::to_string(i));
  }
}

Status CompleteFromWav(const std::string& path, uint64_t size, Recording* recording) {
  auto head = ReadHead(path, kMaxWavHeadBytes);
  if (!head) return Fail(head.error());
  auto wav = ParseWav(Bytes(*head), size);
  if (!wav) return Fail(wav.error());
  if (Status s = Agree("Hz", wav->sample_rate_hz, &recording->sample_rate_hz); !s) return s;
  if (Status s = Agree("channels", wav->channels, &recording->channels); !s) return s;
  if (Status s = Agree("frames", wav->frames, &recording->samples); !s) return s;
  SetChannels(wav->channels, recording);
  for (auto& unit : recording->units) {
    if (unit.empty()) unit = "FS";  // of full scale
  }
  return {};
}

Status CompleteFromText(const std::string& path, Recording* recording) {
  auto text = ReadWhole(path, kMaxRecordingBytes);
  if (!text) return Fail(text.error());
  auto samples = ParseSampleText(*text);
  if (!samples) return Fail(samples.error());
  const size_t channels = samples->names.size();
  if (Status s = Agree("channels", channels, &recording->channels); !s) return s;
  if (Status s = Agree("samples", samples->values.size() / channels, &recording->samples); !s) {
    return s;
  }
  if (recording->sample_rate_hz == 0) {
    const double rate = samples->interval_s > 0 ? std::round(1 / samples->interval_s) : 0;
    if (!(rate >= kMinSampleRateHz && rate <= kMaxSampleRateHz)) {
      return Fail(ErrorCode::kCorrupt,
                  "neither the index (rate_hz) nor a column of time tells the rate");
    }
    recording->sample_rate_hz = static_cast<uint32_t>(rate);
  }
  SetChannels(channels, recording);
  recording->channel_names = samples->names;
  return {};
}

Status Complete(const std::string& dir, Recording* recording) {
  const std::string path = dir + "/" + recording->file;
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) return Fail(ErrorCode::kNotFound, error.message());
  if (size > kMaxRecordingBytes) {
    return Fail(ErrorCode::kResourceExhausted,
                "larger than " + std::to_string(kMaxRecordingBytes) + " bytes");
  }
  if (recording->encoding == Encoding::kWav) return CompleteFromWav(path, size, recording);
  if (recording->encoding == Encoding::kCsv) return CompleteFromText(path, recording);
  const uint64_t frame = recording->channels * (recording->encoding == Encoding::kI16 ? 2u : 4u);
  if (size % frame != 0 || size == 0) {
    return Fail(ErrorCode::kCorrupt, "its " + std::to_string(size) +
                                         " bytes are not a whole number of frames of " +
                                         std::to_string(frame));
  }
  return Agree("samples", size / frame, &recording->samples);
}

template <typename T>
std::vector<float> DecodeRaw(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  std::vector<float> out(bytes.size() / sizeof(T));
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
  return out;
}

}  // namespace

std::string_view EncodingName(Encoding encoding) {
  constexpr std::string_view kNames[] = {"i16", "f32", "csv", "wav"};
  return kNames[static_cast<size_t>(encoding)];
}

std::string ToString(const Conditions& conditions) {
  std::string out;
  for (const auto& [name, value] : conditions) {
    char number[32];
    const auto end = std::to_chars(number, number + sizeof number, value).ptr;
    out += (out.empty() ? "" : ", ") + name + "=" + std::string(number, end);
  }
  return out.empty() ? "(no conditions)" : out;
}

RateAndChannels MainFormat(const Catalogue& catalogue) {
  RateAndChannels best;
  long best_count = 0;
  for (const Recording& recording : catalogue.recordings) {
    const long count = std::count_if(catalogue.recordings.begin(), catalogue.recordings.end(),
                                     [&](const Recording& other) {
                                       return other.sample_rate_hz == recording.sample_rate_hz &&
                                              other.channels == recording.channels;
                                     });
    if (count <= best_count) continue;
    best = {recording.sample_rate_hz, recording.channels};
    best_count = count;
    if (2 * count > static_cast<long>(catalogue.recordings.size())) break;
  }
  return best;
}

Expected<Catalogue> ParseIndex(std::string_view text) {
  auto table = ParseTable(text, kMaxRecordings);
  if (!table) return Fail(table.error());
  return IndexReader(*table).Read();
}

Expected<Catalogue> ReadCatalogue(const std::string& dir) {
  const std::string path = dir + "/index.csv";
  auto text = ReadWhole(path, kMaxIndexBytes);
  if (!text) {
    return Fail(text.error(), "a folder of recordings needs an index.csv");
  }
  auto catalogue = ParseIndex(*text);
  if (!catalogue) return Fail(catalogue.error(), path);
  catalogue->dir = dir;
  for (Recording& recording : catalogue->recordings) {
    if (Status status = Complete(dir, &recording); !status) {
      return Fail(status.error(), dir + "/" + recording.file);
    }
  }
  return catalogue;
}

Expected<std::vector<float>> ReadSamples(const std::string& dir, const Recording& recording) {
  const std::string path = dir + "/" + recording.file;
  auto bytes = ReadWhole(path, kMaxRecordingBytes);
  if (!bytes) return Fail(bytes.error());
  std::vector<float> values;
  if (recording.encoding == Encoding::kI16) {
    values = DecodeRaw<int16_t>(*bytes);
  } else if (recording.encoding == Encoding::kF32) {
    values = DecodeRaw<float>(*bytes);
  } else if (recording.encoding == Encoding::kWav) {
    auto wav = ParseWav(Bytes(*bytes), bytes->size());
    if (!wav) return Fail(wav.error(), path);
    auto decoded = DecodeWav(
        *wav,
        Bytes(*bytes).subspan(wav->data_offset, wav->frames * wav->channels * wav->bits / 8u));
    if (!decoded) return Fail(decoded.error(), path);
    values = std::move(*decoded);
  } else {
    auto text = ParseSampleText(*bytes);
    if (!text) return Fail(text.error(), path);
    values = std::move(text->values);
  }
  const size_t channels = recording.channels;
  if (channels == 0 || values.size() != recording.samples * channels) {
    return Fail(ErrorCode::kCorrupt,
                path + ": holds " + std::to_string(values.size()) + " values, the index tells " +
                    std::to_string(recording.samples * channels) + ": it was changed since");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = i % channels;
    values[i] =
        static_cast<float>(values[i] * recording.scale[channel] + recording.offset[channel]);
    if (!std::isfinite(values[i])) {
      return Fail(ErrorCode::kCorrupt,
                  path + ": sample " + std::to_string(i / channels) + " is not finite");
    }
  }
  return values;
}

}  // namespace edgeloop::sensors
