#include "contracts/sparkplug/record.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "contracts/ids/model_ref.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/sparkplug/metric.h"

namespace edgeloop::sparkplug {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr std::string_view kFeaturePrefix = "feature/";

enum Field : uint16_t {
  kBoot,
  kSeq,
  kPreviousSeq,
  kKind,
  kSensedAt,
  kWindowIndex,
  kWindowSamples,
  kSampleRate,
  kScore,
  kAlarm,
  kTrip,
  kModelDigest,
  kModelVersion,
  kOpen,
  kLatency,
  kDetail,
  kModelState,  // from here on: DeviceState
  kPending,
  kProduced,
  kAckedSeq,
  kDroppedRaw,
  kDroppedFeatures,
  kDroppedAlarms,
  kFieldCount,
  kFeature,  // one of "feature/<name>"
  kForeign,  // declared by the device, not known to us
};

struct Declaration {
  std::string_view name;
  DataType type;
};
constexpr std::array<Declaration, kFieldCount> kFields = {{
    {"record/boot", DataType::kUInt64},          {"record/seq", DataType::kUInt64},
    {"record/previous_seq", DataType::kUInt64},  {"record/kind", DataType::kUInt32},
    {"record/sensed_at_ns", DataType::kUInt64},  {"window/index", DataType::kUInt64},
    {"window/samples", DataType::kUInt32},       {"window/sample_rate_hz", DataType::kUInt32},
    {"model/score", DataType::kFloat},           {"model/alarm", DataType::kBoolean},
    {"model/trip", DataType::kBoolean},          {"model/digest", DataType::kString},
    {"model/version", DataType::kUInt32},        {"actuator/open", DataType::kBoolean},
    {"actuator/latency_us", DataType::kUInt32},  {"record/detail", DataType::kBytes},
    {"model/state", DataType::kString},          {"store/pending", DataType::kUInt64},
    {"store/produced", DataType::kUInt64},       {"store/acked_seq", DataType::kUInt64},
    {"store/dropped_raw", DataType::kUInt64},    {"store/dropped_features", DataType::kUInt64},
    {"store/dropped_alarms", DataType::kUInt64},
}};
// A DDATA without these is no record.
constexpr std::array kNeeded = {kBoot, kSeq, kPreviousSeq, kKind, kSensedAt};

static_assert(kFieldCount + kMaxFeatures <= kAliasesPerDevice);
static_assert(kFieldCount + kMaxFeatures <= kMaxMetrics);

std::unexpected<Error> Corrupt(std::string message) {
  return Fail(ErrorCode::kCorrupt, std::move(message));
}

uint16_t FieldOf(std::string_view name) {
  if (name.starts_with(kFeaturePrefix)) return kFeature;
  for (uint16_t i = 0; i < kFieldCount; ++i) {
    if (kFields[i].name == name) return i;
  }
  return kForeign;
}

// Whether the kind and the detail belong together, and the detail is whole.
Status CheckRecord(const v1::TelemetryRecord& record) {
  using Detail = v1::TelemetryRecord::DetailCase;
  if (record.boot() == 0 || record.seq() == 0) return Corrupt("record/boot or record/seq is 0");
  auto expected = Detail::DETAIL_NOT_SET;
  switch (record.kind()) {
    case v1::FEATURES:
    case v1::ALARM:
      break;
    case v1::RAW:
      expected = Detail::kRaw;
      break;
    case v1::EVENT:
      expected = Detail::kEvent;
      break;
    case v1::LOSS:
      expected = Detail::kLoss;
      break;
    default:
      return Corrupt("record/kind " + std::to_string(record.kind()) + " is unknown");
  }
  if (record.detail_case() != expected) return Corrupt("record/detail does not fit record/kind");
  if (record.kind() == v1::RAW) {
    const uint64_t channels = record.raw().channels();
    if (channels < 1 || channels > 8 ||
        record.raw().samples_f32le().size() != 4 * channels * record.window_samples()) {
      return Corrupt("raw samples are not 1 to 8 channels of window/samples floats");
    }
  }
  if (record.kind() == v1::LOSS) {
    const v1::Loss& loss = record.loss();
    if (loss.first_seq() < 1 || loss.first_seq() > loss.last_seq()) {
      return Corrupt("the range of lost records is empty");
    }
  }
  if (!record.model_digest().empty() && !IsValidDigest(record.model_digest())) {
    return Corrupt("model/digest is not sha256:<64 hex digits>");
  }
  return {};
}

// Appends metrics of one payload.
class Writer {
 public:
  Writer(Proto& payload, uint64_t first_alias, uint64_t timestamp_ms, bool named, bool historical)
      : payload_(payload),
        first_alias_(first_alias),
        timestamp_ms_(timestamp_ms),
        named_(named),
        historical_(historical) {}

  Metric& Add(uint64_t index, std::string_view name, DataType type) {
    Metric* metric = payload_.add_metrics();
    if (named_) {
      metric->set_name(name.data(), name.size());
      metric->set_datatype(uint32_t(type));
    }
    metric->set_alias(first_alias_ + index);
    metric->set_timestamp(timestamp_ms_);
    if (historical_) metric->set_is_historical(true);
    return *metric;
  }
  Metric& Add(Field field) { return Add(field, kFields[field].name, kFields[field].type); }

  void State(const DeviceState& state) {
    Add(kModelState).set_string_value(state.model_state.substr(0, kMaxStringBytes));
    Add(kPending).set_long_value(state.pending);
    Add(kProduced).set_long_value(state.produced);
    Add(kAckedSeq).set_long_value(state.acked_seq);
    Add(kDroppedRaw).set_long_value(state.dropped_raw);
    Add(kDroppedFeatures).set_long_value(state.dropped_features);
    Add(kDroppedAlarms).set_long_value(state.dropped_alarms);
  }

 private:
  Proto& payload_;
  uint64_t first_alias_;
  uint64_t timestamp_ms_;
  bool named_;
  bool historical_;
};

// Puts one metric of the table where it belongs.
Status Read(uint16_t field, const Metric& metric, v1::TelemetryRecord& record, uint64_t& previous,
            DeviceState& state) {
  const std::string_view name = kFields[field].name;
  const auto number = [&](uint64_t max, auto&& put) -> Status {
    auto value = UnsignedOf(metric, name, max);
    if (!value) return Fail(value.error());
    put(*value);
    return {};
  };
  const auto boolean = [&](auto&& put) -> Status {
    auto value = BooleanOf(metric, name);
    if (!value) return Fail(value.error());
    put(*value);
    return {};
  };
  const auto text = [&](std::string* out) -> Status {
    auto value = StringOf(metric, name);
    if (!value) return Fail(value.error());
    *out = *value;
    return {};
  };
  switch (field) {
    case kBoot:
      return number(UINT64_MAX, [&](uint64_t v) { record.set_boot(v); });
    case kSeq:
      return number(UINT64_MAX, [&](uint64_t v) { record.set_seq(v); });
    case kPreviousSeq:
      return number(UINT64_MAX, [&](uint64_t v) { previous = v; });
    case kKind:
      return number(v1::RecordKind_MAX, [&](uint64_t v) { record.set_kind(v1::RecordKind(v)); });
    case kSensedAt:
      return number(INT64_MAX, [&](uint64_t v) { record.set_sensed_at_ns(v); });
    case kWindowIndex:
      return number(UINT64_MAX, [&](uint64_t v) { record.set_window_index(v); });
    case kWindowSamples:
      return number(UINT32_MAX, [&](uint64_t v) { record.set_window_samples(uint32_t(v)); });
    case kSampleRate:
      return number(UINT32_MAX, [&](uint64_t v) { record.set_sample_rate_hz(uint32_t(v)); });
    case kScore: {
      auto value = FloatOf(metric, name);
      if (!value) return Fail(value.error());
      record.set_score(*value);
      return {};
    }
    case kAlarm:
      return boolean([&](bool v) { record.set_alarm(v); });
    case kTrip:
      return boolean([&](bool v) { record.set_trip(v); });
    case kModelDigest:
      return text(record.mutable_model_digest());
    case kModelVersion:
      return number(UINT32_MAX, [&](uint64_t v) { record.set_model_version(uint32_t(v)); });
    case kOpen:
      return boolean([&](bool v) { record.set_actuator_open(v); });
    case kLatency:
      return number(UINT32_MAX, [&](uint64_t v) { record.set_actuation_latency_us(uint32_t(v)); });
    case kDetail: {
      auto bytes = BytesOf(metric, name);
      if (!bytes) return Fail(bytes.error());
      v1::TelemetryRecord detail;
      if (!detail.ParseFromArray(bytes->data(), int(bytes->size()))) {
        return Corrupt("record/detail is not a TelemetryRecord");
      }
      if (detail.has_raw()) record.mutable_raw()->Swap(detail.mutable_raw());
      if (detail.has_event()) record.mutable_event()->Swap(detail.mutable_event());
      if (detail.has_loss()) record.mutable_loss()->Swap(detail.mutable_loss());
      return {};
    }
    case kModelState:
      return text(&state.model_state);
    case kPending:
      return number(UINT64_MAX, [&](uint64_t v) { state.pending = v; });
    case kProduced:
      return number(UINT64_MAX, [&](uint64_t v) { state.produced = v; });
    case kAckedSeq:
      return number(UINT64_MAX, [&](uint64_t v) { state.acked_seq = v; });
    case kDroppedRaw:
      return number(UINT64_MAX, [&](uint64_t v) { state.dropped_raw = v; });
    case kDroppedFeatures:
      return number(UINT64_MAX, [&](uint64_t v) { state.dropped_features = v; });
    case kDroppedAlarms:
      return number(UINT64_MAX, [&](uint64_t v) { state.dropped_alarms = v; });
    default:
      return Fail(ErrorCode::kInternal, "field " + std::to_string(field) + " has no reader");
  }
}

}  // namespace

Expected<RecordEncoder> RecordEncoder::Create(uint64_t first_alias,
                                              std::vector<std::string> feature_names) {
  if (feature_names.size() > kMaxFeatures) {
    return Fail(ErrorCode::kInvalidArgument, std::to_string(feature_names.size()) +
                                                 " features, at most " +
                                                 std::to_string(kMaxFeatures));
  }
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : feature_names) {
    if (name.empty() || name.size() + kFeaturePrefix.size() > kMaxNameBytes) {
      return Fail(ErrorCode::kInvalidArgument, "feature name '" + name.substr(0, 64) +
                                                   "' is empty or longer than " +
                                                   std::to_string(kMaxNameBytes) + " bytes");
    }
    if (!seen.insert(name).second) {
      return Fail(ErrorCode::kInvalidArgument, "feature '" + name + "' is named twice");
    }
  }
  return RecordEncoder(first_alias, std::move(feature_names));
}

std::string RecordEncoder::Birth(uint64_t boot, const DeviceState& state, uint8_t seq,
                                 uint64_t now_ms) const {
  Proto payload;
  payload.set_timestamp(now_ms);
  payload.set_seq(seq);
  Writer writer(payload, first_alias_, now_ms, /*named=*/true, /*historical=*/false);
  writer.Add(kBoot).set_long_value(boot);
  // A birth has no record: what a record brings is null (specification section 6.4.6, is_null).
  for (uint16_t field = kSeq; field < kModelState; ++field)
    writer.Add(Field(field)).set_is_null(true);
  writer.State(state);
  for (size_t i = 0; i < feature_names_.size(); ++i) {
    writer.Add(kFieldCount + i, std::string(kFeaturePrefix) + feature_names_[i], DataType::kFloat)
        .set_is_null(true);
  }
  return payload.SerializeAsString();
}

bool RecordEncoder::Fits(const v1::TelemetryRecord& record) const {
  return record.features_size() == 0 || std::ranges::equal(record.feature_names(), feature_names_);
}

Expected<std::string> RecordEncoder::Data(const v1::TelemetryRecord& record,
                                          const DataOptions& options) const {
  const auto invalid = [](std::string_view why) {
    return Fail(ErrorCode::kInvalidArgument, "record: " + std::string(why));
  };
  if (auto ok = CheckRecord(record); !ok) return invalid(ok.error().message());
  if (!Fits(record) ||
      (record.features_size() != 0 && size_t(record.features_size()) != feature_names_.size())) {
    return invalid("its features are not those of the last birth");
  }
  if (options.previous_seq >= record.seq()) return invalid("previous_seq is not before its seq");

  Proto payload;
  payload.set_timestamp(options.now_ms);
  payload.set_seq(options.seq);
  Writer writer(payload, first_alias_, record.sensed_at_ns() / kNsPerMs, /*named=*/false,
                options.historical);
  writer.Add(kBoot).set_long_value(record.boot());
  writer.Add(kSeq).set_long_value(record.seq());
  writer.Add(kPreviousSeq).set_long_value(options.previous_seq);
  writer.Add(kKind).set_int_value(record.kind());
  writer.Add(kSensedAt).set_long_value(record.sensed_at_ns());
  writer.Add(kWindowIndex).set_long_value(record.window_index());
  writer.Add(kWindowSamples).set_int_value(record.window_samples());
  writer.Add(kSampleRate).set_int_value(record.sample_rate_hz());
  writer.Add(kScore).set_float_value(record.score());
  writer.Add(kAlarm).set_boolean_value(record.alarm());
  writer.Add(kTrip).set_boolean_value(record.trip());
  writer.Add(kModelDigest).set_string_value(record.model_digest());
  writer.Add(kModelVersion).set_int_value(record.model_version());
  writer.Add(kOpen).set_boolean_value(record.actuator_open());
  writer.Add(kLatency).set_int_value(record.actuation_latency_us());
  if (record.detail_case() != v1::TelemetryRecord::DETAIL_NOT_SET) {
    v1::TelemetryRecord detail;
    if (record.has_raw()) *detail.mutable_raw() = record.raw();
    if (record.has_event()) *detail.mutable_event() = record.event();
    if (record.has_loss()) *detail.mutable_loss() = record.loss();
    detail.SerializeToString(writer.Add(kDetail).mutable_bytes_value());
  }
  if (options.state != nullptr) writer.State(*options.state);
  for (int i = 0; i < record.features_size(); ++i) {
    writer.Add(kFieldCount + uint64_t(i), {}, DataType::kFloat).set_float_value(record.features(i));
  }
  std::string bytes = payload.SerializeAsString();
  if (bytes.size() > kMaxPayloadBytes) return invalid("longer than a payload may be");
  return bytes;
}

RecordDecoder::RecordDecoder() = default;
RecordDecoder::RecordDecoder(RecordDecoder&&) noexcept = default;
RecordDecoder& RecordDecoder::operator=(RecordDecoder&&) noexcept = default;
RecordDecoder::~RecordDecoder() = default;

Expected<RecordDecoder> RecordDecoder::FromBirth(const Proto& birth) {
  RecordDecoder decoder;
  std::array<bool, kFieldCount> seen{};
  std::unordered_set<std::string_view> features;
  v1::TelemetryRecord record;
  uint64_t previous = 0;
  for (const Metric& metric : birth.metrics()) {
    const uint16_t field = FieldOf(metric.name());
    if (!metric.has_alias()) {
      if (field == kForeign) continue;
      return Corrupt("birth: metric " + metric.name() + " has no alias");
    }
    Meaning meaning{field, 0};
    if (field != kForeign) {
      const DataType type = field == kFeature ? DataType::kFloat : kFields[field].type;
      if (metric.datatype() != uint32_t(type)) {
        return Corrupt("birth: metric " + metric.name() + " has data type " +
                       std::to_string(metric.datatype()) + ", expected " +
                       std::to_string(uint32_t(type)));
      }
    }
    if (field == kFeature) {
      const std::string_view name = std::string_view(metric.name()).substr(kFeaturePrefix.size());
      if (name.empty() || decoder.feature_names_.size() == kMaxFeatures ||
          !features.insert(name).second) {
        return Corrupt("birth: metric " + metric.name() +
                       " is nameless, named twice or more than " + std::to_string(kMaxFeatures) +
                       " features");
      }
      meaning.feature = uint16_t(decoder.feature_names_.size());
      decoder.feature_names_.emplace_back(name);
    } else if (field != kForeign) {
      if (seen[field]) return Corrupt("birth: metric " + metric.name() + " is there twice");
      seen[field] = true;
      if (!metric.is_null()) {
        if (auto ok = Read(field, metric, record, previous, decoder.state_); !ok) {
          return Fail(ok.error(), "birth");
        }
      }
    }
    if (!decoder.by_alias_.emplace(metric.alias(), meaning).second) {
      return Corrupt("birth: alias " + std::to_string(metric.alias()) + " is given twice");
    }
  }
  for (const Field field : kNeeded) {
    if (!seen[field]) {
      return Corrupt("birth: metric " + std::string(kFields[field].name) + " is missing");
    }
  }
  decoder.boot_ = record.boot();
  return decoder;
}

Expected<RecordDecoder::Data> RecordDecoder::Decode(const Proto& payload,
                                                    v1::TelemetryRecord* record) const {
  record->Clear();
  Data data;
  DeviceState state;
  bool has_state = false;
  std::array<bool, kFieldCount> seen{};
  std::vector<float> features(feature_names_.size());
  std::vector<bool> have(feature_names_.size());
  size_t feature_count = 0;
  for (const Metric& metric : payload.metrics()) {
    const auto found = by_alias_.find(metric.alias());
    if (!metric.has_alias() || found == by_alias_.end()) {
      return Fail(ErrorCode::kNotFound, "data: alias " + std::to_string(metric.alias()) +
                                            " was not declared by the device's last birth");
    }
    const auto [field, feature] = found->second;
    if (field == kForeign || metric.is_null()) continue;
    if (metric.is_historical()) data.historical = true;
    if (field == kFeature) {
      auto value = FloatOf(metric, feature_names_[feature]);
      if (!value) return Fail(value.error(), "data");
      if (have[feature])
        return Corrupt("data: feature " + feature_names_[feature] + " comes twice");
      have[feature] = true;
      features[feature] = *value;
      ++feature_count;
      continue;
    }
    if (seen[field]) {
      return Corrupt("data: metric " + std::string(kFields[field].name) + " comes twice");
    }
    seen[field] = true;
    has_state |= field >= kModelState;
    if (auto ok = Read(field, metric, *record, data.previous_seq, state); !ok) {
      return Fail(ok.error(), "data");
    }
  }
  for (const Field field : kNeeded) {
    if (!seen[field]) {
      return Corrupt("data: metric " + std::string(kFields[field].name) + " is missing");
    }
  }
  if (feature_count != 0) {
    if (feature_count != feature_names_.size()) {
      return Corrupt("data: " + std::to_string(feature_count) + " of " +
                     std::to_string(feature_names_.size()) + " features");
    }
    record->mutable_feature_names()->Assign(feature_names_.begin(), feature_names_.end());
    record->mutable_features()->Assign(features.begin(), features.end());
  }
  if (auto ok = CheckRecord(*record); !ok) return Fail(ok.error(), "data");
  if (data.previous_seq >= record->seq()) {
    return Corrupt("data: record/previous_seq is not before record/seq");
  }
  if (has_state) data.state = std::move(state);
  return data;
}

}  // namespace edgeloop::sparkplug
