#include <array>
#include <string>

#include "contracts/model_file/model_spec.h"
#include "core/base/bytes.h"
#include "core/model/layout.h"
#include "core/model/op.h"

namespace edgeloop::model_file {
namespace {

namespace layout = model::layout;

// Goes through bytes that model::Verify() accepted, so it never runs past the end.
class Reader {
 public:
  explicit Reader(const std::uint8_t* at) : at_(at) {}

  std::uint8_t U8() { return *Skip(1); }
  std::uint16_t U16() { return core::LoadU16(Skip(2)); }
  std::int32_t I32() { return core::LoadI32(Skip(4)); }
  float F32() { return core::LoadF32(Skip(4)); }
  std::vector<float> F32s(std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = F32();
    return values;
  }
  std::vector<std::int32_t> I32s(std::size_t count) {
    std::vector<std::int32_t> values(count);
    for (std::int32_t& v : values) v = I32();
    return values;
  }
  const std::uint8_t* Skip(std::size_t count) {
    const std::uint8_t* from = at_;
    at_ += count;
    return from;
  }

 private:
  const std::uint8_t* at_;
};

std::vector<OpSpec> ReadPipeline(Reader& r, unsigned count) {
  std::vector<OpSpec> ops;
  for (unsigned i = 0; i < count; ++i) {
    OpSpec op;
    op.kind = static_cast<model::OpKind>(r.U8());
    op.channel_mask = r.U8();
    op.scale = static_cast<model::Scale>(r.U8());
    op.count = r.U8();
    if (op.kind == model::OpKind::kBands || op.kind == model::OpKind::kEnvBands) {
      op.edges = r.F32s(op.count + 1U);
    }
    ops.push_back(std::move(op));
  }
  return ops;
}

FloatLayer ReadFloatLayer(Reader& r) {
  FloatLayer layer;
  layer.inputs = r.U16();
  layer.outputs = r.U16();
  layer.activation = static_cast<nn::Activation>(r.U8());
  r.Skip(3 + 8);
  layer.bias = r.F32s(layer.outputs);
  layer.weights = r.F32s(std::size_t{layer.inputs} * layer.outputs);
  return layer;
}

Int8Layer ReadInt8Layer(Reader& r, bool last) {
  Int8Layer layer;
  layer.inputs = r.U16();
  layer.outputs = r.U16();
  layer.activation = static_cast<nn::Activation>(r.U8());
  r.Skip(3);
  layer.output_scale = r.F32();
  layer.output_zero_point = r.I32();
  layer.bias = r.I32s(layer.outputs);
  if (!last) {
    layer.multiplier = r.I32s(layer.outputs);
    layer.shift = r.I32s(layer.outputs);
  }
  const std::size_t weights = std::size_t{layer.inputs} * layer.outputs;
  const std::uint8_t* first = r.Skip(layout::PaddedWeights(layer.inputs, layer.outputs));
  layer.weights.assign(first, first + weights);
  return layer;
}

void ReadNetwork(Reader& r, ModelSpec* spec) {
  const auto arithmetic = static_cast<layout::Arithmetic>(r.U8());
  const unsigned layers = r.U8();
  r.Skip(2);
  const float input_scale = r.F32();
  const std::int32_t input_zero_point = r.I32();
  if (arithmetic == layout::Arithmetic::kFloat32) {
    FloatNetwork network;
    for (unsigned i = 0; i < layers; ++i) network.layers.push_back(ReadFloatLayer(r));
    spec->network = std::move(network);
  } else {
    Int8Network network{.input_scale = input_scale, .input_zero_point = input_zero_point};
    for (unsigned i = 0; i < layers; ++i) {
      network.layers.push_back(ReadInt8Layer(r, i + 1 == layers));
    }
    spec->network = std::move(network);
  }
}

}  // namespace

Expected<ModelSpec> Read(std::span<const std::uint8_t> bytes) {
  model::Model m;
  if (const core::Code code = model::Model::Open(bytes, &m); code != core::Code::kOk) {
    return Fail(ErrorCode::kCorrupt, std::string("model file of ") + std::to_string(bytes.size()) +
                                         " bytes: " + core::CodeText(code));
  }
  const std::uint8_t* p = bytes.data();
  ModelSpec spec;
  spec.name = m.name();
  spec.version = m.version();
  spec.sample_rate_hz = m.sample_rate_hz();
  spec.channels = m.channels();
  spec.window = m.window();
  spec.hop = m.hop();
  spec.window_kind = static_cast<dsp::WindowKind>(p[layout::kWindowKindAt]);
  spec.envelope_low = core::LoadF32(p + layout::kEnvelopeLowAt);
  spec.envelope_high = core::LoadF32(p + layout::kEnvelopeHighAt);
  spec.decision = m.decision();
  spec.health = m.health();
  Reader r(p + layout::kHeaderBytes);
  spec.ops = ReadPipeline(r, core::LoadU16(p + layout::kOpCountAt));
  if (m.has_network()) {
    spec.normalization.clip = r.F32();
    spec.normalization.mean = r.F32s(m.feature_count());
    spec.normalization.inv_std = r.F32s(m.feature_count());
    ReadNetwork(r, &spec);
  }
  return spec;
}

std::vector<std::string> FeatureNames(const model::Model& model) {
  std::vector<std::string> names;
  std::array<char, model::kMaxFeatureNameChars> buffer;
  for (std::size_t i = 0; i < model.feature_count(); ++i) {
    names.emplace_back(model.FeatureName(i, buffer));
  }
  return names;
}

}  // namespace edgeloop::model_file
