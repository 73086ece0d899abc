// Features to score: normalisation and network.
#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/math.h"
#include "core/model/layout.h"
#include "core/model/model.h"
#include "core/model/workspace.h"
#include "core/nn/activation.h"
#include "core/nn/dense_float.h"
#include "core/nn/dense_int8.h"

namespace edgeloop::model {
namespace {

// z = clamp((x - mean) * inv_std, -clip, clip); finite for finite x.
void Normalize(const std::uint8_t* section, std::span<const float> features, std::span<float> z) {
  const float clip = core::LoadF32(section);
  const std::uint8_t* mean = section + layout::kClipBytes;
  const std::uint8_t* inv_std = mean + 4 * features.size();
  for (std::size_t i = 0; i < features.size(); ++i) {
    const float value =
        (features[i] - core::LoadF32(mean + 4 * i)) * core::LoadF32(inv_std + 4 * i);
    z[i] = std::clamp(value, -clip, clip);
  }
}

// A layer in the file.
struct LayerView {
  const std::uint8_t* at;
  std::size_t inputs() const { return core::LoadU16(at + layout::kLayerInputsAt); }
  std::size_t outputs() const { return core::LoadU16(at + layout::kLayerOutputsAt); }
  bool relu() const {
    return at[layout::kLayerActivationAt] == static_cast<unsigned>(nn::Activation::kRelu);
  }
  const std::uint8_t* arrays() const { return at + layout::kLayerHeaderBytes; }
};

float FloatLogit(const std::uint8_t* network, const ScoreScratch& scratch) {
  const unsigned layers = network[layout::kLayerCountAt];
  LayerView layer{network + layout::kNetworkHeaderBytes};
  std::span<const float> in = scratch.normalized;
  std::span<float> next = scratch.a;
  std::span<float> other = scratch.b;
  for (unsigned i = 0; i < layers; ++i) {
    const std::size_t outputs = layer.outputs();
    const nn::FloatDense dense{
        .relu = layer.relu(), .bias = layer.arrays(), .weights = layer.arrays() + 4 * outputs};
    nn::Forward(dense, in, next.first(outputs));
    layer.at +=
        layout::LayerBytes(layout::Arithmetic::kFloat32, in.size(), outputs, i + 1 == layers);
    in = next.first(outputs);
    std::swap(next, other);
  }
  return in[0];
}

float Int8Logit(const std::uint8_t* network, const ScoreScratch& scratch) {
  const unsigned layers = network[layout::kLayerCountAt];
  LayerView layer{network + layout::kNetworkHeaderBytes};
  const std::span<std::int8_t> a(reinterpret_cast<std::int8_t*>(scratch.a.data()), kMaxLayerWidth);
  const std::span<std::int8_t> b(reinterpret_cast<std::int8_t*>(scratch.b.data()), kMaxLayerWidth);
  std::int32_t zero_point = core::LoadI32(network + layout::kInputZeroPointAt);
  const std::span<std::int8_t> quantized = a.first(scratch.normalized.size());
  nn::Quantize(scratch.normalized, core::LoadF32(network + layout::kInputScaleAt), zero_point,
               quantized);
  std::span<const std::int8_t> in = quantized;
  std::span<std::int8_t> next = b;
  std::span<std::int8_t> other = a;
  for (unsigned i = 0; i + 1 < layers; ++i) {
    const std::size_t outputs = layer.outputs();
    const std::uint8_t* arrays = layer.arrays();
    const nn::Int8Dense dense{
        .relu = layer.relu(),
        .input_zero_point = zero_point,
        .output_zero_point = core::LoadI32(layer.at + layout::kOutputZeroPointAt),
        .bias = arrays,
        .multiplier = arrays + 4 * outputs,
        .shift = arrays + 8 * outputs,
        .weights = arrays + 12 * outputs};
    nn::Forward(dense, in, next.first(outputs));
    layer.at += layout::LayerBytes(layout::Arithmetic::kInt8, in.size(), outputs, false);
    zero_point = dense.output_zero_point;
    in = next.first(outputs);
    std::swap(next, other);
  }
  const nn::Int8Dense last{
      .input_zero_point = zero_point, .bias = layer.arrays(), .weights = layer.arrays() + 4};
  return static_cast<float>(nn::Accumulate(last, in)) *
         core::LoadF32(layer.at + layout::kOutputScaleAt);
}

}  // namespace

core::Code Model::Score(std::span<const float> features, std::span<std::byte> workspace,
                        float* score) const {
  if (features.size() != feature_count_) return core::Code::kBadSize;
  if (!std::all_of(features.begin(), features.end(), core::IsFinite)) {
    return core::Code::kNotFinite;
  }
  if (!has_network()) {
    *score = 0;
    return core::Code::kOk;
  }
  const std::span<float> floats = AsFloats(workspace, ScoreScratch::Floats(feature_count_));
  if (floats.empty()) return core::Code::kBadWorkspace;
  const ScoreScratch scratch(floats, feature_count_);
  Normalize(normalization_.data(), features, scratch.normalized);
  const auto arithmetic = static_cast<layout::Arithmetic>(network_[layout::kArithmeticAt]);
  const float logit = arithmetic == layout::Arithmetic::kFloat32
                          ? FloatLogit(network_.data(), scratch)
                          : Int8Logit(network_.data(), scratch);
  if (!core::IsFinite(logit)) return core::Code::kNotFinite;
  *score = core::Sigmoid(logit);
  return core::Code::kOk;
}

}  // namespace edgeloop::model
