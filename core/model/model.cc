#include "core/model/model.h"

#include <algorithm>

#include "core/base/bytes.h"
#include "core/dsp/fft.h"
#include "core/model/layout.h"
#include "core/model/op.h"
#include "core/model/workspace.h"

namespace edgeloop::model {
namespace {

// Appends to a span and remembers when it was too small.
class NameWriter {
 public:
  explicit NameWriter(std::span<char> out) : out_(out) {}

  void Text(std::string_view text) {
    for (const char c : text) Char(c);
  }
  void Number(unsigned value) {  // below 100
    if (value >= 10) Char(static_cast<char>('0' + value / 10));
    Char(static_cast<char>('0' + value % 10));
  }
  std::string_view Finish() {
    if (length_ >= out_.size()) return {};
    out_[length_] = 0;
    return {out_.data(), length_};
  }

 private:
  void Char(char c) {
    if (length_ < out_.size()) out_[length_] = c;
    ++length_;
  }

  std::span<char> out_;
  std::size_t length_ = 0;
};

// Around the number of those that come in numbers.
struct NameParts {
  std::string_view before;
  std::string_view after;
  bool numbered = false;
};

NameParts PartsOf(OpKind kind) {
  switch (kind) {
    case OpKind::kRms:
      return {"rms", ""};
    case OpKind::kPeak:
      return {"peak", ""};
    case OpKind::kCrest:
      return {"crest", ""};
    case OpKind::kKurtosis:
      return {"kurtosis", ""};
    case OpKind::kSkewness:
      return {"skewness", ""};
    case OpKind::kZeroCrossings:
      return {"zero_cross_hz", ""};
    case OpKind::kBands:
      return {"band", "", true};
    case OpKind::kDominant:
      return {"dom", "_hz", true};
    case OpKind::kDominantAmplitude:
      return {"dom", "_amp", true};
    case OpKind::kCentroid:
      return {"centroid_hz", ""};
    case OpKind::kEnvRms:
      return {"env.rms", ""};
    case OpKind::kEnvKurtosis:
      return {"env.kurtosis", ""};
    case OpKind::kEnvPeak:
      return {"env.peak_hz", ""};
    case OpKind::kEnvBands:
      return {"env.band", "", true};
  }
  return {};
}

}  // namespace

core::Code Model::Open(std::span<const std::uint8_t> bytes, Model* out) {
  if (const core::Code code = Verify(bytes); code != core::Code::kOk) return code;
  const std::uint8_t* p = bytes.data();
  Model m;
  m.bytes_ = bytes;
  const std::uint8_t* name = p + layout::kNameAt;
  m.name_ = {reinterpret_cast<const char*>(name),
             static_cast<std::size_t>(std::find(name, name + kMaxNameChars, 0) - name)};
  m.version_ = core::LoadU32(p + layout::kModelVersionAt);
  m.sample_rate_hz_ = core::LoadU32(p + layout::kSampleRateAt);
  m.window_ = core::LoadU32(p + layout::kWindowAt);
  m.hop_ = core::LoadU32(p + layout::kHopAt);
  m.channels_ = p[layout::kChannelsAt];
  m.window_kind_ = static_cast<dsp::WindowKind>(p[layout::kWindowKindAt]);
  m.feature_count_ = core::LoadU16(p + layout::kFeatureCountAt);
  m.op_count_ = core::LoadU16(p + layout::kOpCountAt);
  m.envelope_low_ = core::LoadF32(p + layout::kEnvelopeLowAt);
  m.envelope_high_ = core::LoadF32(p + layout::kEnvelopeHighAt);
  m.decision_ = {.alarm_on = core::LoadF32(p + layout::kAlarmOnAt),
                 .alarm_off = core::LoadF32(p + layout::kAlarmOffAt),
                 .trip_count = p[layout::kTripCountAt],
                 .trip_window = p[layout::kTripWindowAt],
                 .action = static_cast<Action>(p[layout::kActionAt])};
  m.health_ = {.probation_windows = core::LoadU16(p + layout::kProbationAt),
               .max_alarm_fraction = core::LoadF32(p + layout::kMaxAlarmFractionAt),
               .max_compute_us = core::LoadU32(p + layout::kMaxComputeAt)};
  const std::size_t pipeline = core::LoadU32(p + layout::kPipelineBytesAt);
  const std::size_t normalization = core::LoadU32(p + layout::kNormalizationBytesAt);
  m.ops_ = bytes.subspan(layout::kHeaderBytes, pipeline);
  m.normalization_ = bytes.subspan(layout::kHeaderBytes + pipeline, normalization);
  m.network_ = bytes.subspan(layout::kHeaderBytes + pipeline + normalization,
                             core::LoadU32(p + layout::kNetworkBytesAt));
  m.workspace_bytes_ = FeatureScratch::Floats(m.window_) * sizeof(float);
  if (m.has_network()) {
    m.workspace_bytes_ =
        std::max(m.workspace_bytes_, ScoreScratch::Floats(m.feature_count_) * sizeof(float));
  }
  *out = m;
  return core::Code::kOk;
}

std::string_view Model::FeatureName(std::size_t index, std::span<char> out) const {
  for (unsigned channel = 0; channel < channels_; ++channel) {
    Op op(ops_.data());
    for (unsigned i = 0; i < op_count_; ++i, op = op.next()) {
      if (!op.RunsOn(channel)) continue;
      if (index >= op.count()) {
        index -= op.count();
        continue;
      }
      const NameParts parts = PartsOf(op.kind());
      NameWriter writer(out);
      writer.Text("ch");
      writer.Number(channel);
      writer.Text(".");
      writer.Text(parts.before);
      if (parts.numbered) writer.Number(static_cast<unsigned>(index));
      writer.Text(parts.after);
      return writer.Finish();
    }
  }
  return {};
}

}  // namespace edgeloop::model
