#include "core/nn/dense_int8.h"

#include <algorithm>
#include <cstddef>

#include "core/base/bytes.h"

namespace edgeloop::nn {
namespace {

std::int32_t AccumulateRow(const Int8Dense& layer, std::size_t output,
                           std::span<const std::int8_t> in) {
  const std::uint8_t* row = layer.weights + output * in.size();
  std::int32_t sum = core::LoadI32(layer.bias + output * sizeof(std::int32_t));
  for (std::size_t i = 0; i < in.size(); ++i) {
    sum += (in[i] - layer.input_zero_point) * static_cast<std::int8_t>(row[i]);
  }
  return sum;
}

}  // namespace

void Quantize(std::span<const float> x, float scale, std::int32_t zero_point,
              std::span<std::int8_t> q) {
  constexpr float kFarOutside = 512;  // beyond any zero point and range: safe to convert to int
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float steps = std::clamp(x[i] / scale, -kFarOutside, kFarOutside);
    const auto rounded = static_cast<std::int32_t>(steps + (steps < 0 ? -0.5F : 0.5F));
    q[i] = static_cast<std::int8_t>(std::clamp<std::int32_t>(rounded + zero_point, -128, 127));
  }
}

std::int64_t Requantize(std::int32_t value, std::int32_t multiplier, std::int32_t shift) {
  const int right = 31 - shift;  // 24..62
  const std::int64_t half = std::int64_t{1} << (right - 1);
  return (static_cast<std::int64_t>(value) * multiplier + half) >> right;
}

void Forward(const Int8Dense& layer, std::span<const std::int8_t> in, std::span<std::int8_t> out) {
  const std::int64_t low = layer.relu ? layer.output_zero_point : std::int64_t{-128};
  for (std::size_t o = 0; o < out.size(); ++o) {
    const std::int64_t scaled = Requantize(
        AccumulateRow(layer, o, in), core::LoadI32(layer.multiplier + o * sizeof(std::int32_t)),
        core::LoadI32(layer.shift + o * sizeof(std::int32_t)));
    out[o] = static_cast<std::int8_t>(
        std::clamp<std::int64_t>(scaled + layer.output_zero_point, low, 127));
  }
}

std::int32_t Accumulate(const Int8Dense& layer, std::span<const std::int8_t> in) {
  return AccumulateRow(layer, 0, in);
}

}  // namespace edgeloop::nn
