// Fully connected layer in single precision, reading its parameters from a model file.
#pragma once

#include <cstdint>
#include <span>

namespace edgeloop::nn {

// Views into a file: little-endian binary32 of any alignment.
struct FloatDense {
  bool relu = false;
  const std::uint8_t* bias = nullptr;     // [outputs]
  const std::uint8_t* weights = nullptr;  // row-major [outputs][inputs]
};

// out[o] = bias[o] + sum over i of weights[o][i] in[i], with relu not below 0, summed in
// four lanes in a fixed order: the same bits on every machine. NaN comes out where it arises. Sizes
// of in and out are the layer's; they do not overlap.
void Forward(const FloatDense& layer, std::span<const float> in, std::span<float> out);

}  // namespace edgeloop::nn
