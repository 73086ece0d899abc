// Every rule of docs/spec/elm.md, in the order of the file. Nothing here trusts a byte before it
// was checked; every loop is bounded by a limit of params.h or by the size of the file.
#include <array>
#include <bit>

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/dsp/spectrum.h"
#include "core/model/layout.h"
#include "core/model/model.h"
#include "core/model/op.h"
#include "core/nn/activation.h"

namespace edgeloop::model {
namespace {

using core::Code;
using core::IsFinite;
using core::LoadF32;
using core::LoadI32;
using core::LoadU16;
using core::LoadU32;
using Bytes = std::span<const std::uint8_t>;

bool IsZero(Bytes bytes) {
  for (const std::uint8_t byte : bytes) {
    if (byte != 0) return false;
  }
  return true;
}

bool AllFinite(const std::uint8_t* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!IsFinite(LoadF32(values + 4 * i))) return false;
  }
  return true;
}

Code CheckFile(Bytes file) {
  if (file.size() < layout::kMinFileBytes) return Code::kTruncated;
  const std::uint8_t* p = file.data();
  for (std::size_t i = 0; i < sizeof(layout::kMagic); ++i) {
    if (p[i] != layout::kMagic[i]) return Code::kBadMagic;
  }
  if (LoadU16(p + layout::kFormatVersionAt) != layout::kFormatVersion) return Code::kBadVersion;
  if (LoadU16(p + layout::kHeaderBytesAt) != layout::kHeaderBytes) return Code::kBadSectionSize;
  const std::uint32_t stated = LoadU32(p + layout::kFileBytesAt);
  if (stated > kMaxModelBytes || stated < layout::kMinFileBytes) return Code::kBadSectionSize;
  if (file.size() < stated) return Code::kTruncated;
  if (file.size() > stated) return Code::kTrailingBytes;
  const std::size_t covered = file.size() - layout::kChecksumBytes;
  if (core::Crc32c(file.first(covered)) != LoadU32(p + covered)) return Code::kBadChecksum;
  return Code::kOk;
}

Code CheckName(const std::uint8_t* name) {
  std::size_t length = 0;
  while (length < kMaxNameChars && name[length] != 0) {
    const char c = static_cast<char>(name[length]);
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return Code::kBadName;
    ++length;
  }
  if (length == 0) return Code::kBadName;
  return IsZero({name + length, kMaxNameChars - length}) ? Code::kOk : Code::kReservedNotZero;
}

Code CheckGeometry(const std::uint8_t* p) {
  const std::uint32_t rate = LoadU32(p + layout::kSampleRateAt);
  const std::uint32_t window = LoadU32(p + layout::kWindowAt);
  const std::uint32_t hop = LoadU32(p + layout::kHopAt);
  const unsigned channels = p[layout::kChannelsAt];
  if (rate == 0 || rate > kMaxSampleRateHz) return Code::kBadGeometry;
  if (window < kMinWindow || window > kMaxWindow || (window & (window - 1)) != 0) {
    return Code::kBadGeometry;
  }
  if (hop == 0 || hop > window) return Code::kBadGeometry;
  if (channels == 0 || channels > kMaxChannels) return Code::kBadGeometry;
  if (p[layout::kWindowKindAt] > static_cast<unsigned>(dsp::WindowKind::kHamming)) {
    return Code::kBadGeometry;
  }
  return Code::kOk;
}

Code CheckDecision(const std::uint8_t* p) {
  const float on = LoadF32(p + layout::kAlarmOnAt);
  const float off = LoadF32(p + layout::kAlarmOffAt);
  if (!IsFinite(on) || !IsFinite(off)) return Code::kParameterNotFinite;
  const unsigned count = p[layout::kTripCountAt];
  const unsigned window = p[layout::kTripWindowAt];
  if (!(off > 0 && off <= on && on <= 1)) return Code::kBadDecision;
  if (window == 0 || window > kMaxTripWindow || count == 0 || count > window) {
    return Code::kBadDecision;
  }
  if (p[layout::kActionAt] > static_cast<unsigned>(Action::kOpenContactor)) {
    return Code::kBadDecision;
  }
  return p[layout::kReserved115At] == 0 ? Code::kOk : Code::kReservedNotZero;
}

Code CheckHealth(const std::uint8_t* p) {
  const float fraction = LoadF32(p + layout::kMaxAlarmFractionAt);
  if (!IsFinite(fraction)) return Code::kParameterNotFinite;
  if (!(fraction >= 0 && fraction <= 1)) return Code::kBadHealth;
  if (LoadU16(p + layout::kProbationAt) == 0) return Code::kBadHealth;
  if (LoadU32(p + layout::kMaxComputeAt) == 0) return Code::kBadHealth;
  return LoadU16(p + layout::kReserved118At) == 0 ? Code::kOk : Code::kReservedNotZero;
}

bool IsKnown(OpKind kind) {
  switch (kind) {
    case OpKind::kRms:
    case OpKind::kPeak:
    case OpKind::kCrest:
    case OpKind::kKurtosis:
    case OpKind::kSkewness:
    case OpKind::kZeroCrossings:
    case OpKind::kBands:
    case OpKind::kDominant:
    case OpKind::kDominantAmplitude:
    case OpKind::kCentroid:
    case OpKind::kEnvRms:
    case OpKind::kEnvKurtosis:
    case OpKind::kEnvPeak:
    case OpKind::kEnvBands:
      return true;
  }
  return false;
}

Scale LargestScale(OpKind kind) {
  switch (kind) {
    case OpKind::kRms:
    case OpKind::kPeak:
    case OpKind::kDominantAmplitude:
    case OpKind::kEnvRms:
      return Scale::kLog;
    case OpKind::kBands:
    case OpKind::kEnvBands:
      return Scale::kRatio;
    default:
      return Scale::kLinear;
  }
}

unsigned LargestCount(OpKind kind) {
  switch (kind) {
    case OpKind::kBands:
    case OpKind::kEnvBands:
      return kMaxBands;
    case OpKind::kDominant:
    case OpKind::kDominantAmplitude:
      return kMaxDominant;
    default:
      return 1;
  }
}

Code CheckBands(Op op, std::size_t half) {
  for (unsigned b = 0; b <= op.count(); ++b) {
    if (!IsFinite(op.edge(b))) return Code::kParameterNotFinite;
  }
  if (!(op.edge(0) >= 0 && op.edge(op.count()) <= 1)) return Code::kBadPipeline;
  for (unsigned b = 0; b < op.count(); ++b) {
    if (!(op.edge(b) < op.edge(b + 1))) return Code::kBadPipeline;
  }
  for (unsigned b = 0; b < op.count(); ++b) {
    if (dsp::BandBins(op.edge(b), op.edge(b + 1), half).empty()) return Code::kBadPipeline;
  }
  return Code::kOk;
}

// One record of at most `left` bytes; adds its features and marks its kind and channels as used.
Code CheckOp(const std::uint8_t* record, std::size_t left, std::size_t half, unsigned all_channels,
             std::array<std::uint8_t, 64>& used_channels, unsigned* features) {
  if (left < layout::kOpHeaderBytes) return Code::kBadSectionSize;
  const Op op(record);
  if (!IsKnown(op.kind()) || op.scale() > LargestScale(op.kind())) return Code::kBadPipeline;
  if (op.count() == 0 || op.count() > LargestCount(op.kind())) return Code::kBadPipeline;
  const unsigned mask = op.channel_mask();
  std::uint8_t& used = used_channels[static_cast<unsigned>(op.kind())];
  if (mask == 0 || (mask & ~all_channels) != 0 || (mask & used) != 0) return Code::kBadPipeline;
  used = static_cast<std::uint8_t>(used | mask);
  if (left < op.bytes()) return Code::kBadSectionSize;
  if (op.HasBands()) {
    if (const Code code = CheckBands(op, half); code != Code::kOk) return code;
  }
  *features += op.count() * static_cast<unsigned>(std::popcount(mask));
  return Code::kOk;
}

Code CheckPipeline(const std::uint8_t* p, Bytes pipeline) {
  const float low = LoadF32(p + layout::kEnvelopeLowAt);
  const float high = LoadF32(p + layout::kEnvelopeHighAt);
  if (!IsFinite(low) || !IsFinite(high)) return Code::kParameterNotFinite;
  if (!(low >= 0 && low < high && high <= 1)) return Code::kBadPipeline;
  const std::size_t half = LoadU32(p + layout::kWindowAt) / 2;
  if (dsp::BandBins(low, high, half).empty()) return Code::kBadPipeline;

  const unsigned ops = LoadU16(p + layout::kOpCountAt);
  if (ops == 0 || ops > kMaxOps) return Code::kBadPipeline;
  const unsigned all_channels = (1U << p[layout::kChannelsAt]) - 1;
  std::array<std::uint8_t, 64> used_channels{};
  unsigned features = 0;
  std::size_t at = 0;
  for (unsigned i = 0; i < ops; ++i) {
    const Code code = CheckOp(pipeline.data() + at, pipeline.size() - at, half, all_channels,
                              used_channels, &features);
    if (code != Code::kOk) return code;
    at += Op(pipeline.data() + at).bytes();
  }
  if (at != pipeline.size()) return Code::kBadSectionSize;
  if (features > kMaxFeatures) return Code::kBadPipeline;
  return features == LoadU16(p + layout::kFeatureCountAt) ? Code::kOk : Code::kBadPipeline;
}

Code CheckNormalization(Bytes section, std::size_t features) {
  if (section.size() != layout::kClipBytes + 8 * features) return Code::kBadSectionSize;
  if (!AllFinite(section.data(), section.size() / 4)) return Code::kParameterNotFinite;
  if (!(LoadF32(section.data()) > 0)) return Code::kBadNormalization;
  const std::uint8_t* inv_std = section.data() + layout::kClipBytes + 4 * features;
  for (std::size_t i = 0; i < features; ++i) {
    if (!(LoadF32(inv_std + 4 * i) > 0)) return Code::kBadNormalization;
  }
  return Code::kOk;
}

Code CheckInt8Layer(const std::uint8_t* layer, std::size_t inputs, std::size_t outputs, bool last) {
  constexpr std::int32_t kMaxBias = 1 << 30;
  const float scale = LoadF32(layer + layout::kOutputScaleAt);
  const std::int32_t zero_point = LoadI32(layer + layout::kOutputZeroPointAt);
  if (!IsFinite(scale)) return Code::kParameterNotFinite;
  if (last
          ? !(scale > 0) || zero_point != 0
          : !IsZero({layer + layout::kOutputScaleAt, 4}) || zero_point < -128 || zero_point > 127) {
    return Code::kBadNetwork;
  }
  const std::uint8_t* bias = layer + layout::kLayerHeaderBytes;
  const std::uint8_t* multiplier = bias + 4 * outputs;
  const std::uint8_t* shift = multiplier + 4 * outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    const std::int32_t b = LoadI32(bias + 4 * o);
    if (b < -kMaxBias || b > kMaxBias) return Code::kBadNetwork;
    if (last) continue;
    const std::int32_t s = LoadI32(shift + 4 * o);
    if (LoadI32(multiplier + 4 * o) < 1 << 30 || s < -31 || s > 7) return Code::kBadNetwork;
  }
  const std::uint8_t* weights = bias + (last ? 4 : 12) * outputs;
  for (std::size_t i = 0; i < inputs * outputs; ++i) {
    if (weights[i] == 0x80) return Code::kBadNetwork;  // -128: symmetric weights have no such value
  }
  const std::size_t padding = layout::PaddedWeights(inputs, outputs) - inputs * outputs;
  return IsZero({weights + inputs * outputs, padding}) ? Code::kOk : Code::kReservedNotZero;
}

Code CheckLayer(Bytes left, layout::Arithmetic arithmetic, std::size_t inputs, bool last,
                std::size_t* bytes, std::size_t* outputs) {
  if (left.size() < layout::kLayerHeaderBytes) return Code::kBadSectionSize;
  const std::uint8_t* layer = left.data();
  if (!IsZero({layer + layout::kLayerReservedAt, 3})) return Code::kReservedNotZero;
  if (LoadU16(layer + layout::kLayerInputsAt) != inputs) return Code::kBadNetwork;
  *outputs = LoadU16(layer + layout::kLayerOutputsAt);
  if (*outputs == 0 || *outputs > kMaxLayerWidth) return Code::kBadNetwork;
  const unsigned activation = layer[layout::kLayerActivationAt];
  const bool is_sigmoid = activation == static_cast<unsigned>(nn::Activation::kSigmoid);
  if (activation > static_cast<unsigned>(nn::Activation::kSigmoid)) return Code::kBadNetwork;
  if (is_sigmoid != last || (last && *outputs != 1)) return Code::kBadNetwork;
  *bytes = layout::LayerBytes(arithmetic, inputs, *outputs, last);
  if (left.size() < *bytes) return Code::kBadSectionSize;
  if (arithmetic == layout::Arithmetic::kInt8) {
    return CheckInt8Layer(layer, inputs, *outputs, last);
  }
  if (!IsZero({layer + layout::kOutputScaleAt, 8})) return Code::kReservedNotZero;
  const bool finite = AllFinite(layer + layout::kLayerHeaderBytes, *outputs * (1 + inputs));
  return finite ? Code::kOk : Code::kParameterNotFinite;
}

Code CheckNetwork(Bytes network, std::size_t features) {
  if (network.size() < layout::kNetworkHeaderBytes) return Code::kBadSectionSize;
  const std::uint8_t* p = network.data();
  const auto arithmetic = static_cast<layout::Arithmetic>(p[layout::kArithmeticAt]);
  if (LoadU16(p + layout::kNetworkReservedAt) != 0) return Code::kReservedNotZero;
  if (arithmetic == layout::Arithmetic::kFloat32) {
    if (!IsZero({p + layout::kInputScaleAt, 8})) return Code::kReservedNotZero;
  } else if (arithmetic == layout::Arithmetic::kInt8) {
    const float scale = LoadF32(p + layout::kInputScaleAt);
    const std::int32_t zero_point = LoadI32(p + layout::kInputZeroPointAt);
    if (!IsFinite(scale)) return Code::kParameterNotFinite;
    if (!(scale > 0) || zero_point < -128 || zero_point > 127) return Code::kBadNetwork;
  } else {
    return Code::kBadNetwork;
  }
  const unsigned layers = p[layout::kLayerCountAt];
  if (layers == 0 || layers > kMaxLayers) return Code::kBadNetwork;
  std::size_t at = layout::kNetworkHeaderBytes;
  std::size_t inputs = features;
  for (unsigned i = 0; i < layers; ++i) {
    std::size_t bytes = 0;
    std::size_t outputs = 0;
    const Code code =
        CheckLayer(network.subspan(at), arithmetic, inputs, i + 1 == layers, &bytes, &outputs);
    if (code != Code::kOk) return code;
    at += bytes;
    inputs = outputs;
  }
  return at == network.size() ? Code::kOk : Code::kBadSectionSize;
}

}  // namespace

Code Verify(Bytes bytes) {
  if (const Code code = CheckFile(bytes); code != Code::kOk) return code;
  const std::uint8_t* p = bytes.data();
  if (const Code code = CheckName(p + layout::kNameAt); code != Code::kOk) return code;
  if (const Code code = CheckGeometry(p); code != Code::kOk) return code;
  if (LoadU16(p + layout::kReserved82At) != 0) return Code::kReservedNotZero;

  // Sections follow one another without gaps, so they cannot overlap. Sums cannot wrap in 64 bits.
  const std::uint64_t pipeline = LoadU32(p + layout::kPipelineBytesAt);
  const std::uint64_t normalization = LoadU32(p + layout::kNormalizationBytesAt);
  const std::uint64_t network = LoadU32(p + layout::kNetworkBytesAt);
  if (layout::kMinFileBytes + pipeline + normalization + network != bytes.size()) {
    return Code::kBadSectionSize;
  }
  if (const Code code = CheckDecision(p); code != Code::kOk) return code;
  if (const Code code = CheckHealth(p); code != Code::kOk) return code;

  const Bytes sections = bytes.subspan(layout::kHeaderBytes);
  const std::size_t features = LoadU16(p + layout::kFeatureCountAt);
  const Code code = CheckPipeline(p, sections.first(static_cast<std::size_t>(pipeline)));
  if (code != Code::kOk) return code;
  if (network == 0) return normalization == 0 ? Code::kOk : Code::kBadSectionSize;
  const Bytes after_pipeline = sections.subspan(static_cast<std::size_t>(pipeline));
  const Bytes normalization_section = after_pipeline.first(static_cast<std::size_t>(normalization));
  if (const Code bad = CheckNormalization(normalization_section, features); bad != Code::kOk) {
    return bad;
  }
  return CheckNetwork(after_pipeline.subspan(static_cast<std::size_t>(normalization),
                                             static_cast<std::size_t>(network)),
                      features);
}

}  // namespace edgeloop::model
