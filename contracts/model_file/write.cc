#include <bit>
#include <cmath>
#include <cstring>

#include "contracts/model_file/model_spec.h"
#include "core/base/crc32c.h"
#include "core/model/layout.h"

namespace edgeloop::model_file {
namespace {

namespace layout = model::layout;

// Appends little-endian numbers.
class Writer {
 public:
  void U8(std::uint8_t v) { bytes_.push_back(v); }
  void U16(std::uint16_t v) { Number(v, 2); }
  void U32(std::uint32_t v) { Number(v, 4); }
  void I32(std::int32_t v) { U32(static_cast<std::uint32_t>(v)); }
  void F32(float v) { U32(std::bit_cast<std::uint32_t>(v)); }
  void F32s(const std::vector<float>& values) {
    for (const float v : values) F32(v);
  }
  void I32s(const std::vector<std::int32_t>& values) {
    for (const std::int32_t v : values) I32(v);
  }
  void Zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  void Bytes(const std::vector<std::uint8_t>& v) {
    bytes_.insert(bytes_.end(), v.begin(), v.end());
  }
  std::size_t size() const { return bytes_.size(); }
  std::vector<std::uint8_t> Take() { return std::move(bytes_); }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  void Number(std::uint32_t v, int count) {
    for (int i = 0; i < count; ++i) U8(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  std::vector<std::uint8_t> bytes_;
};

std::unexpected<Error> Invalid(const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, what);
}

Status CheckSize(std::size_t actual, std::size_t expected, const std::string& what) {
  if (actual == expected) return {};
  return Invalid(what + " has " + std::to_string(actual) + " elements, needs " +
                 std::to_string(expected));
}

Expected<std::vector<std::uint8_t>> Pipeline(const ModelSpec& spec, std::size_t* features) {
  if (spec.ops.empty() || spec.ops.size() > model::kMaxOps) {
    return Invalid("pipeline needs 1.." + std::to_string(model::kMaxOps) + " operations");
  }
  Writer w;
  *features = 0;
  for (std::size_t i = 0; i < spec.ops.size(); ++i) {
    const OpSpec& op = spec.ops[i];
    const bool bands = op.kind == model::OpKind::kBands || op.kind == model::OpKind::kEnvBands;
    const Status fits = CheckSize(op.edges.size(), bands ? op.count + 1U : 0U,
                                  "edges of pipeline operation " + std::to_string(i));
    if (!fits) return Fail(fits.error());
    *features += std::size_t{op.count} * static_cast<unsigned>(std::popcount(op.channel_mask));
    w.U8(static_cast<std::uint8_t>(op.kind));
    w.U8(op.channel_mask);
    w.U8(static_cast<std::uint8_t>(op.scale));
    w.U8(op.count);
    w.F32s(op.edges);
  }
  if (*features > model::kMaxFeatures) {
    return Invalid("pipeline gives " + std::to_string(*features) + " features, limit " +
                   std::to_string(model::kMaxFeatures));
  }
  return w.Take();
}

void LayerHeader(Writer& w, std::uint16_t inputs, std::uint16_t outputs,
                 nn::Activation activation) {
  w.U16(inputs);
  w.U16(outputs);
  w.U8(static_cast<std::uint8_t>(activation));
  w.Zeros(3);
}

Status WriteLayer(Writer& w, const FloatLayer& layer, const std::string& name) {
  const std::size_t weights = std::size_t{layer.inputs} * layer.outputs;
  if (const Status s = CheckSize(layer.weights.size(), weights, name + " weights"); !s) return s;
  if (const Status s = CheckSize(layer.bias.size(), layer.outputs, name + " bias"); !s) return s;
  LayerHeader(w, layer.inputs, layer.outputs, layer.activation);
  w.Zeros(8);
  w.F32s(layer.bias);
  w.F32s(layer.weights);
  return {};
}

Status WriteLayer(Writer& w, const Int8Layer& layer, bool last, const std::string& name) {
  const std::size_t weights = std::size_t{layer.inputs} * layer.outputs;
  const std::size_t requantised = last ? 0 : layer.outputs;
  if (const Status s = CheckSize(layer.weights.size(), weights, name + " weights"); !s) return s;
  if (const Status s = CheckSize(layer.bias.size(), layer.outputs, name + " bias"); !s) return s;
  if (const Status s = CheckSize(layer.multiplier.size(), requantised, name + " multiplier"); !s) {
    return s;
  }
  if (const Status s = CheckSize(layer.shift.size(), requantised, name + " shift"); !s) return s;
  LayerHeader(w, layer.inputs, layer.outputs, layer.activation);
  w.F32(layer.output_scale);
  w.I32(layer.output_zero_point);
  w.I32s(layer.bias);
  w.I32s(layer.multiplier);
  w.I32s(layer.shift);
  for (const std::int8_t v : layer.weights) w.U8(static_cast<std::uint8_t>(v));
  w.Zeros(layout::PaddedWeights(layer.inputs, layer.outputs) - weights);
  return {};
}

Expected<std::vector<std::uint8_t>> Network(const ModelSpec& spec) {
  Writer w;
  const auto header = [&w](layout::Arithmetic arithmetic, std::size_t layers, float scale,
                           std::int32_t zero_point) -> Status {
    if (layers == 0 || layers > model::kMaxLayers) {
      return Invalid("network needs 1.." + std::to_string(model::kMaxLayers) + " layers");
    }
    w.U8(static_cast<std::uint8_t>(arithmetic));
    w.U8(static_cast<std::uint8_t>(layers));
    w.Zeros(2);
    w.F32(scale);
    w.I32(zero_point);
    return {};
  };
  if (const auto* floats = std::get_if<FloatNetwork>(&spec.network)) {
    if (const Status s = header(layout::Arithmetic::kFloat32, floats->layers.size(), 0, 0); !s) {
      return Fail(s.error());
    }
    for (std::size_t i = 0; i < floats->layers.size(); ++i) {
      const Status s = WriteLayer(w, floats->layers[i], "layer " + std::to_string(i));
      if (!s) return Fail(s.error());
    }
  } else if (const auto* int8 = std::get_if<Int8Network>(&spec.network)) {
    const Status s = header(layout::Arithmetic::kInt8, int8->layers.size(), int8->input_scale,
                            int8->input_zero_point);
    if (!s) return Fail(s.error());
    for (std::size_t i = 0; i < int8->layers.size(); ++i) {
      const bool last = i + 1 == int8->layers.size();
      const Status l = WriteLayer(w, int8->layers[i], last, "layer " + std::to_string(i));
      if (!l) return Fail(l.error());
    }
  }
  return w.Take();
}

Expected<std::vector<std::uint8_t>> Normalization(const ModelSpec& spec, std::size_t features) {
  const NormalizationSpec& n = spec.normalization;
  if (std::holds_alternative<std::monostate>(spec.network)) features = 0;
  if (const Status s = CheckSize(n.mean.size(), features, "normalisation mean"); !s) {
    return Fail(s.error());
  }
  if (const Status s = CheckSize(n.inv_std.size(), features, "normalisation inv_std"); !s) {
    return Fail(s.error());
  }
  Writer w;
  if (features != 0) {
    w.F32(n.clip);
    w.F32s(n.mean);
    w.F32s(n.inv_std);
  }
  return w.Take();
}

}  // namespace

Expected<std::vector<std::uint8_t>> Write(const ModelSpec& spec) {
  if (spec.name.size() > model::kMaxNameChars) return Invalid("model name is too long");
  std::size_t features = 0;
  const auto pipeline = Pipeline(spec, &features);
  if (!pipeline) return Fail(pipeline.error());
  const auto normalization = Normalization(spec, features);
  if (!normalization) return Fail(normalization.error());
  const auto network = Network(spec);
  if (!network) return Fail(network.error());
  const std::size_t total =
      layout::kMinFileBytes + pipeline->size() + normalization->size() + network->size();
  if (total > model::kMaxModelBytes) return Invalid("model file would exceed 4 MiB");

  Writer w;
  for (const std::uint8_t c : layout::kMagic) w.U8(c);
  w.U16(layout::kFormatVersion);
  w.U16(layout::kHeaderBytes);
  w.U32(static_cast<std::uint32_t>(total));
  w.U32(spec.version);
  for (const char c : spec.name) w.U8(static_cast<std::uint8_t>(c));
  w.Zeros(model::kMaxNameChars - spec.name.size());
  w.U32(spec.sample_rate_hz);
  w.U32(spec.window);
  w.U32(spec.hop);
  w.U8(spec.channels);
  w.U8(static_cast<std::uint8_t>(spec.window_kind));
  w.U16(static_cast<std::uint16_t>(features));
  w.U16(static_cast<std::uint16_t>(spec.ops.size()));
  w.Zeros(2);
  w.U32(static_cast<std::uint32_t>(pipeline->size()));
  w.U32(static_cast<std::uint32_t>(normalization->size()));
  w.U32(static_cast<std::uint32_t>(network->size()));
  w.F32(spec.envelope_low);
  w.F32(spec.envelope_high);
  w.F32(spec.decision.alarm_on);
  w.F32(spec.decision.alarm_off);
  w.U8(spec.decision.trip_count);
  w.U8(spec.decision.trip_window);
  w.U8(static_cast<std::uint8_t>(spec.decision.action));
  w.Zeros(1);
  w.U16(spec.health.probation_windows);
  w.Zeros(2);
  w.F32(spec.health.max_alarm_fraction);
  w.U32(spec.health.max_compute_us);
  w.Bytes(*pipeline);
  w.Bytes(*normalization);
  w.Bytes(*network);
  w.U32(core::Crc32c(w.bytes()));

  std::vector<std::uint8_t> bytes = w.Take();
  if (const core::Code code = model::Verify(bytes); code != core::Code::kOk) {
    return Invalid("model '" + spec.name + "': " + core::CodeText(code));
  }
  return bytes;
}

Expected<FixedPointFactor> ToFixedPoint(double factor) {
  int exponent = 0;
  const double fraction = std::frexp(factor, &exponent);  // [0.5, 1)
  if (!(std::isfinite(factor) && factor > 0)) return Invalid("factor is not positive and finite");
  std::int64_t multiplier = std::llround(std::ldexp(fraction, 31));
  if (multiplier == std::int64_t{1} << 31) {
    multiplier /= 2;
    ++exponent;
  }
  if (exponent < -31 || exponent > 7) {
    return Invalid("factor " + std::to_string(factor) + " is outside (2^-32, 2^7)");
  }
  return FixedPointFactor{static_cast<std::int32_t>(multiplier), exponent};
}

}  // namespace edgeloop::model_file
