// Fully connected layer in 8-bit integers, as the TFLite 8-bit quantization specification has it:
// asymmetric int8 activations, symmetric int8 weights with one scale an output channel, int32 bias
// and accumulator. (https://ai.google.dev/edge/litert/models/quantization_spec)
#pragma once

#include <cstdint>
#include <span>

namespace edgeloop::nn {

// Views into a file: little-endian int32 and int8 of any alignment.
struct Int8Dense {
  bool relu = false;
  std::int32_t input_zero_point = 0;         // -128..127
  std::int32_t output_zero_point = 0;        // -128..127
  const std::uint8_t* bias = nullptr;        // int32 [outputs]
  const std::uint8_t* multiplier = nullptr;  // int32 [outputs], 2^30..2^31-1
  const std::uint8_t* shift = nullptr;       // int32 [outputs], -31..7
  const std::uint8_t* weights = nullptr;     // int8, row-major [outputs][inputs]
};

// q = clamp(round(x / scale) + zero_point, -128, 127), halves away from zero; x finite, scale > 0.
void Quantize(std::span<const float> x, float scale, std::int32_t zero_point,
              std::span<std::int8_t> q);

// round(value * multiplier * 2^(shift - 31)), halves up, in one rounding. multiplier in
// [2^30, 2^31), shift in [-31, 7].
std::int64_t Requantize(std::int32_t value, std::int32_t multiplier, std::int32_t shift);

// acc[o] = bias[o] + sum over i of (in[i] - input_zero_point) weights[o][i]
// out[o] = clamp(output_zero_point + Requantize(acc[o]), low, 127); low = -128, with relu
// output_zero_point. Cannot overflow for |bias| <= 2^30 and up to 512 inputs.
void Forward(const Int8Dense& layer, std::span<const std::int8_t> in, std::span<std::int8_t> out);

// The single accumulator of a last layer: logit = accumulator * (input scale * weight scale).
std::int32_t Accumulate(const Int8Dense& layer, std::span<const std::int8_t> in);

}  // namespace edgeloop::nn
