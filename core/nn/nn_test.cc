#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/nn/dense_float.h"
#include "core/nn/dense_int8.h"

namespace edgeloop::nn {
namespace {

// Little-endian bytes of the values, one byte off any alignment.
template <typename T>
std::vector<std::uint8_t> Unaligned(const std::vector<T>& values) {
  static_assert(std::endian::native == std::endian::little);
  std::vector<std::uint8_t> bytes(1 + values.size() * sizeof(T));
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  return bytes;
}

TEST(FloatDenseTest, MatchesDoublePrecisionForEveryRemainder) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (std::size_t inputs = 1; inputs <= 67; ++inputs) {
    const std::size_t outputs = 5;
    std::vector<float> weights(inputs * outputs), bias(outputs), in(inputs), out(outputs);
    for (auto* v : {&weights, &bias, &in}) {
      for (float& x : *v) x = normal(random);
    }
    const auto w = Unaligned(weights), b = Unaligned(bias);
    for (const bool relu : {false, true}) {
      Forward(FloatDense{relu, b.data() + 1, w.data() + 1}, in, out);
      for (std::size_t o = 0; o < outputs; ++o) {
        double y = bias[o];
        for (std::size_t i = 0; i < inputs; ++i) {
          y += static_cast<double>(weights[o * inputs + i]) * in[i];
        }
        if (relu) y = std::max(y, 0.0);
        EXPECT_NEAR(out[o], y, 1e-5) << inputs;
      }
    }
  }
}

TEST(QuantizeTest, RoundsAndSaturates) {
  const std::vector<float> x = {0, 0.24F, 0.25F, -0.25F, -0.26F, 1e30F, -1e30F, 63.4F};
  std::vector<std::int8_t> q(x.size());
  Quantize(x, 0.5F, 3, q);
  EXPECT_EQ(q, (std::vector<std::int8_t>{3, 3, 4, 2, 2, 127, -128, 127}));
}

TEST(RequantizeTest, IsOneRoundingOfTheRealProduct) {
  std::mt19937 random(12);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = static_cast<std::int32_t>(random());
    const auto multiplier = static_cast<std::int32_t>((1U << 30) + random() % (1U << 30));
    const auto shift = static_cast<std::int32_t>(random() % 39) - 31;
    // 63 significant bits fit an 80-bit or wider long double exactly.
    const long double exact = std::ldexp(static_cast<long double>(value) * multiplier, shift - 31);
    const auto rounded = static_cast<std::int64_t>(std::floor(exact + 0.5L));
    ASSERT_EQ(Requantize(value, multiplier, shift), rounded)
        << value << " " << multiplier << " " << shift;
  }
}

TEST(Int8DenseTest, MatchesRealArithmetic) {
  std::mt19937 random(13);
  const std::size_t inputs = 37, outputs = 9;
  for (const bool relu : {false, true}) {
    std::vector<std::int8_t> in(inputs), weights(inputs * outputs), out(outputs);
    std::vector<std::int32_t> bias(outputs), multiplier(outputs), shift(outputs, -8);
    for (auto& v : in) v = static_cast<std::int8_t>(random());
    for (auto& v : weights) v = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
    for (auto& v : bias) v = static_cast<std::int32_t>(random() % 20001) - 10000;
    for (auto& v : multiplier) v = static_cast<std::int32_t>((1U << 30) + random() % (1U << 30));
    const auto w = Unaligned(weights), b = Unaligned(bias), m = Unaligned(multiplier),
               s = Unaligned(shift);
    const Int8Dense layer{relu, -5, 12, b.data() + 1, m.data() + 1, s.data() + 1, w.data() + 1};
    Forward(layer, in, out);
    for (std::size_t o = 0; o < outputs; ++o) {
      double acc = bias[o];
      for (std::size_t i = 0; i < inputs; ++i) acc += (in[i] + 5.0) * weights[o * inputs + i];
      const double real = 12 + std::floor(acc * std::ldexp(multiplier[o], -8 - 31) + 0.5);
      EXPECT_EQ(out[o], std::clamp(real, relu ? 12.0 : -128.0, 127.0)) << o;
      if (o == 0) {
        EXPECT_EQ(Accumulate(layer, in), acc);
      }
    }
  }
}

TEST(Int8DenseTest, WidestLayerDoesNotOverflow) {
  const std::vector<std::int8_t> in(512, 127), weights(512, 127);
  const auto w = Unaligned(weights), b = Unaligned(std::vector<std::int32_t>{1 << 30});
  const Int8Dense layer{false, -128, 0, b.data() + 1, nullptr, nullptr, w.data() + 1};
  EXPECT_EQ(Accumulate(layer, in), (1 << 30) + 512 * 255 * 127);
}

}  // namespace
}  // namespace edgeloop::nn
