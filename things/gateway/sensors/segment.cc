#include "things/gateway/sensors/segment.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

namespace edgeloop::sensors {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 7> kFaultNames = {
    "none", "inner_race", "outer_race", "ball", "imbalance", "misalignment", "winding"};

// Collects the first error; later reads then do nothing.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}

  void Number(const char* key, double min, double max, double* out, bool required = false) {
    const Json* value = Find(key, required);
    if (value == nullptr) return;
    if (!value->is_number()) return Refuse(key, "must be a number");
    const double number = value->get<double>();
    if (!(number >= min && number <= max)) {
      return Refuse(key, "must be in " + Json(min).dump() + ".." + Json(max).dump());
    }
    *out = number;
  }
  template <typename T>
  void Unsigned(const char* key, uint64_t min, uint64_t max, T* out) {
    const Json* value = Find(key, false);
    if (value == nullptr) return;
    // The library keeps 7 written in C++ as signed, 7 read from text as unsigned.
    if (!value->is_number_integer() ||
        (!value->is_number_unsigned() && value->get<int64_t>() < 0) ||
        value->get<uint64_t>() < min || value->get<uint64_t>() > max) {
      return Refuse(
          key, "must be a whole number in " + std::to_string(min) + ".." + std::to_string(max));
    }
    *out = static_cast<T>(value->get<uint64_t>());
  }
  void Text(const char* key, size_t max_length, std::string* out, bool required) {
    const Json* value = Find(key, required);
    if (value == nullptr) return;
    if (!value->is_string()) return Refuse(key, "must be text");
    const auto& text = value->get_ref<const std::string&>();
    if (text.empty() || text.size() > max_length) {
      return Refuse(key, "must have 1.." + std::to_string(max_length) + " characters");
    }
    *out = text;
  }
  void Refuse(const std::string& key, const std::string& message) {
    if (error_.empty()) error_ = "\"" + key.substr(0, 64) + "\": " + message;
  }
  void RefuseOthers(std::initializer_list<std::string_view> known) {
    for (const auto& item : json_.items()) {
      bool found = false;
      for (std::string_view name : known) found = found || name == item.key();
      if (!found) {
        std::string names;
        for (std::string_view name : known)
          names += (names.empty() ? "" : ", ") + std::string(name);
        Refuse(item.key(), "unknown; known are " + names);
      }
    }
  }
  const std::string& error() const { return error_; }

 private:
  const Json* Find(const char* key, bool required) {
    const auto at = json_.find(key);
    if (at != json_.end()) return &*at;
    if (required) Refuse(key, "is missing");
    return nullptr;
  }
  const Json& json_;
  std::string error_;
};

bool IsSegmentId(std::string_view id) {
  for (char c : id) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
    if (!ok) return false;
  }
  return true;
}

ReplaySegment ReadReplay(Fields& fields) {
  ReplaySegment segment;
  fields.Text("file", 512, &segment.file, true);
  fields.Number("from", 0, 1, &segment.from);
  fields.Number("to", 0, 1, &segment.to);
  fields.Unsigned("phase", 0, 1'000'000'000, &segment.phase);
  fields.Unsigned("repeat", 1, kMaxReplayRepeat, &segment.repeat);
  if (!(segment.from < segment.to)) fields.Refuse("from", "must be less than \"to\"");
  fields.RefuseOthers({"id", "file", "from", "to", "phase", "repeat"});
  return segment;
}

MotorSegment ReadMotor(Fields& fields) {
  MotorSegment segment;
  fields.Unsigned("seed", 0, UINT64_MAX, &segment.seed);
  fields.Number("duration_s", 0.001, kMaxSegmentSeconds, &segment.duration_s, true);
  fields.Number("speed_rpm", 0, kMaxSpeedRpm, &segment.speed_rpm);
  fields.Number("load", 0, 1.5, &segment.load);
  fields.Number("severity", 0, 1, &segment.severity);
  segment.severity_start = segment.severity;
  fields.Number("severity_start", 0, 1, &segment.severity_start);
  fields.Number("warm", 0, 1, &segment.warm);
  std::string fault = "none";
  fields.Text("fault", 32, &fault, false);
  bool known = false;
  std::string names;
  for (size_t i = 0; i < kFaultNames.size(); ++i) {
    names += (i > 0 ? ", " : "") + std::string(kFaultNames[i]);
    if (fault != kFaultNames[i]) continue;
    segment.fault = static_cast<MotorFault>(i);
    known = true;
  }
  if (!known) fields.Refuse("fault", "must be one of " + names);
  fields.RefuseOthers({"id", "seed", "duration_s", "speed_rpm", "load", "fault", "severity",
                       "severity_start", "warm"});
  return segment;
}

}  // namespace

std::string_view MotorFaultName(MotorFault fault) {
  return kFaultNames[static_cast<size_t>(fault)];
}

Expected<Segment> Segment::FromJson(const Json& json) {
  if (!json.is_object()) {
    return Fail(ErrorCode::kInvalidArgument, "a segment must be a JSON object");
  }
  Fields fields(json);
  Segment segment;
  fields.Text("id", kMaxSegmentIdLength, &segment.id, true);
  if (!IsSegmentId(segment.id)) fields.Refuse("id", "may hold letters, digits, '.', '_', '-'");
  if (json.contains("file")) {
    segment.content = ReadReplay(fields);
  } else {
    segment.content = ReadMotor(fields);
  }
  if (!fields.error().empty()) {
    return Fail(ErrorCode::kInvalidArgument, "segment '" + segment.id + "': " + fields.error());
  }
  return segment;
}

Json Segment::ToJson() const {
  Json json = {{"id", id}};
  if (const auto* replay = std::get_if<ReplaySegment>(&content)) {
    json["file"] = replay->file;
    json["from"] = replay->from;
    json["to"] = replay->to;
    json["phase"] = replay->phase;
    json["repeat"] = replay->repeat;
  } else {
    const auto& motor = std::get<MotorSegment>(content);
    json["seed"] = motor.seed;
    json["duration_s"] = motor.duration_s;
    json["speed_rpm"] = motor.speed_rpm;
    json["load"] = motor.load;
    json["fault"] = MotorFaultName(motor.fault);
    json["severity"] = motor.severity;
    json["severity_start"] = motor.severity_start;
    json["warm"] = motor.warm;
  }
  return json;
}

Segment Segment::Repetition(uint64_t k) const {
  Segment repeated = *this;
  if (auto* motor = std::get_if<MotorSegment>(&repeated.content)) motor->seed += k;
  return repeated;
}

}  // namespace edgeloop::sensors
