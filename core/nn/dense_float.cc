#include "core/nn/dense_float.h"

#include <cstddef>

#include "core/base/bytes.h"

namespace edgeloop::nn {

void Forward(const FloatDense& layer, std::span<const float> in, std::span<float> out) {
  constexpr std::size_t kLanes = 4;
  const std::size_t whole = in.size() - in.size() % kLanes;
  const std::uint8_t* row = layer.weights;
  for (std::size_t o = 0; o < out.size(); ++o, row += in.size() * sizeof(float)) {
    float lane[kLanes] = {};
    for (std::size_t i = 0; i < whole; i += kLanes) {
      for (std::size_t l = 0; l < kLanes; ++l) {
        lane[l] += core::LoadF32(row + (i + l) * sizeof(float)) * in[i + l];
      }
    }
    for (std::size_t i = whole; i < in.size(); ++i) {
      lane[i % kLanes] += core::LoadF32(row + i * sizeof(float)) * in[i];
    }
    const float y =
        core::LoadF32(layer.bias + o * sizeof(float)) + ((lane[0] + lane[1]) + (lane[2] + lane[3]));
    out[o] = layer.relu && y < 0 ? 0.0F : y;
  }
}

}  // namespace edgeloop::nn
