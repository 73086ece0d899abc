// Fully connected layer in single precision, reading its parameters from a model file.
#pragma once

#include <cstdint>
#include <span>

#include "core/nn/activation.h"

namespace edgeloop::nn {

// Views into a file: little-endian binary32 of any alignment.
struct FloatDense {
  Activation activation = Activation::kNone;
  const std::uint8_t* bias = nullptr;     // [outputs]
  const std::uint8_t* weights = nullptr;  // row-major [outputs][inputs]
};

// out[o] = activation(bias[o] + sum over i of weights[o][i] in[i]), summed in four lanes in a fixed
// order: the same bits on every machine. Sizes of in and out are the layer's; they do not overlap.
void Forward(const FloatDense& layer, std::span<const float> in, std::span<float> out);

}  // namespace edgeloop::nn
