// The host-side twin of core/model: a model file as plain data, to be written, read and changed.
// Format: docs/spec/elm.md. Every file written here is one that model::Verify() accepts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "contracts/error/error.h"
#include "core/dsp/window.h"
#include "core/model/model.h"
#include "core/model/params.h"
#include "core/nn/activation.h"

namespace edgeloop::model_file {

// One step of the pipeline, run on each channel of the mask. A kind occurs at most once a channel.
struct OpSpec {
  model::OpKind kind = model::OpKind::kRms;
  std::uint8_t channel_mask = 0;  // bit c: channel c
  model::Scale scale = model::Scale::kLinear;
  std::uint8_t count = 1;    // bands or dominant peaks; 1 for everything else
  std::vector<float> edges;  // bands only: count + 1 rising fractions of Nyquist, 0..1
  bool operator==(const OpSpec&) const = default;
};

// z = clamp((x - mean) * inv_std, -clip, clip), feature by feature.
struct NormalizationSpec {
  std::vector<float> mean;
  std::vector<float> inv_std;  // > 0
  float clip = 8.0F;           // > 0
  bool operator==(const NormalizationSpec&) const = default;
};

// y = activation(W x + b). The last layer of a network has one output and kSigmoid; the others
// kNone or kRelu.
struct FloatLayer {
  std::uint16_t inputs = 0;
  std::uint16_t outputs = 0;
  nn::Activation activation = nn::Activation::kNone;
  std::vector<float> weights;  // row-major [outputs][inputs]
  std::vector<float> bias;     // [outputs]
  bool operator==(const FloatLayer&) const = default;
};
struct FloatNetwork {
  std::vector<FloatLayer> layers;
  bool operator==(const FloatNetwork&) const = default;
};

// Integer arithmetic of the TFLite 8-bit quantization specification: acc = sum((q_in - zero_in) *
// w) + bias in int32. Every layer but the last requantises: q_out = clamp(zero_out +
// round(acc * multiplier * 2^(shift - 31))); the last gives the logit acc * output_scale.
struct Int8Layer {
  std::uint16_t inputs = 0;
  std::uint16_t outputs = 0;
  nn::Activation activation = nn::Activation::kNone;
  std::int32_t output_zero_point = 0;    // -128..127; 0 in the last layer
  float output_scale = 0;                // last layer: input scale * weight scale; else 0
  std::vector<std::int8_t> weights;      // row-major [outputs][inputs], -127..127
  std::vector<std::int32_t> bias;        // [outputs], |bias| <= 2^30, scale input * weight
  std::vector<std::int32_t> multiplier;  // [outputs], 2^30..2^31-1; empty in the last layer
  std::vector<std::int32_t> shift;       // [outputs], -31..7; empty in the last layer
  bool operator==(const Int8Layer&) const = default;
};
struct Int8Network {
  float input_scale = 0;              // q = clamp(round(z / input_scale) + input_zero_point)
  std::int32_t input_zero_point = 0;  // -128..127
  std::vector<Int8Layer> layers;
  bool operator==(const Int8Network&) const = default;
};

struct ModelSpec {
  std::string name;  // 1..48 of [a-z0-9-]
  std::uint32_t version = 1;
  std::uint32_t sample_rate_hz = 0;
  std::uint8_t channels = 1;
  std::uint32_t window = 2048;
  std::uint32_t hop = 512;
  dsp::WindowKind window_kind = dsp::WindowKind::kHann;
  float envelope_low = 0;  // band demodulated for the envelope, fractions of Nyquist
  float envelope_high = 1;
  std::vector<OpSpec> ops;
  NormalizationSpec normalization;  // empty without a network
  std::variant<std::monostate, FloatNetwork, Int8Network> network;
  model::DecisionParams decision;
  model::HealthParams health;
  bool operator==(const ModelSpec&) const = default;
};

Expected<std::vector<std::uint8_t>> Write(const ModelSpec& spec);
Expected<ModelSpec> Read(std::span<const std::uint8_t> bytes);

// The factory model: a pipeline of 13 features a channel for rotating machines, no network (score
// 0, never alarms), named "factory". Training starts from it and adds normalisation and network.
// Scale-type features (rms, peak, band powers) are natural logarithms, so that a
// linear model works on ratios and the sensor's sensitivity is only an offset.
ModelSpec DefaultMotorPipeline(std::uint32_t sample_rate_hz, std::uint8_t channels,
                               std::uint32_t window, std::uint32_t hop);

// Names of all features in order, as model::Model::FeatureName gives them.
std::vector<std::string> FeatureNames(const model::Model& model);

// A real factor in (2^-32, 2^7) as multiplier * 2^(shift - 31) with multiplier in 2^30..2^31-1, as
// Int8Layer holds it. kInvalidArgument outside that range.
struct FixedPointFactor {
  std::int32_t multiplier = 0;
  std::int32_t shift = 0;
};
Expected<FixedPointFactor> ToFixedPoint(double factor);

}  // namespace edgeloop::model_file
