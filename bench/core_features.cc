// Cost of the signal path: one window of the default motor pipeline, its stages, and a score.
//   cmake --preset release -DEDGELOOP_BENCH=ON && ninja -C build/release bench_core
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "contracts/model_file/model_spec.h"
#include "core/dsp/fft.h"
#include "core/model/model.h"

namespace edgeloop {
namespace {

std::vector<float> Noise(std::size_t count) {
  std::mt19937 random(1);
  std::vector<float> x(count);
  for (float& v : x) v = static_cast<float>(random()) / 4294967296.0F - 0.5F;
  return x;
}

struct alignas(16) Block {
  std::byte bytes[16];
};

void Fft(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  std::vector<float> tables(dsp::RealFft::TableFloats(n)), re(n / 2 + 1), im(n / 2 + 1);
  const std::vector<float> x = Noise(n);
  const dsp::RealFft fft(n, tables);
  for (auto _ : state) {
    fft.Forward(x, re, im);
    benchmark::DoNotOptimize(re.data());
  }
}
BENCHMARK(Fft)->RangeMultiplier(2)->Range(256, 8192);

void Features(benchmark::State& state) {
  const auto channels = static_cast<std::uint8_t>(state.range(0));
  const auto window = static_cast<std::uint32_t>(state.range(1));
  const auto file =
      *model_file::Write(model_file::DefaultMotorPipeline(20'000, channels, window, window / 4));
  model::Model m;
  if (model::Model::Open(file, &m) != core::Code::kOk) return state.SkipWithError("model");
  std::vector<Block> workspace((m.workspace_bytes() + 15) / 16);
  const auto scratch = std::as_writable_bytes(std::span(workspace));
  const std::vector<float> samples = Noise(std::size_t{window} * channels);
  std::vector<float> features(m.feature_count());
  for (auto _ : state) {
    if (m.Features(samples, scratch, features) != core::Code::kOk) state.SkipWithError("features");
    benchmark::DoNotOptimize(features.data());
  }
  state.counters["workspace_bytes"] = static_cast<double>(m.workspace_bytes());
}
BENCHMARK(Features)->Args({1, 1024})->Args({1, 2048})->Args({3, 2048})->Args({8, 8192});

// 66 features, 32 hidden, float or int8.
void Score(benchmark::State& state, bool int8) {
  model_file::ModelSpec spec = model_file::DefaultMotorPipeline(20'000, 3, 2048, 512);
  spec.normalization = {std::vector<float>(66), std::vector<float>(66, 1.0F)};
  if (int8) {
    model_file::Int8Layer hidden{.inputs = 66, .outputs = 32, .activation = nn::Activation::kRelu};
    hidden.weights.assign(66 * 32, 3);
    hidden.bias.assign(32, 5);
    hidden.multiplier.assign(32, 1 << 30);
    hidden.shift.assign(32, -6);
    model_file::Int8Layer last{.inputs = 32,
                               .outputs = 1,
                               .activation = nn::Activation::kSigmoid,
                               .output_scale = 0.001F,
                               .weights = std::vector<std::int8_t>(32, 2),
                               .bias = {0}};
    spec.network = model_file::Int8Network{0.05F, 0, {hidden, last}};
  } else {
    spec.network =
        model_file::FloatNetwork{{{66, 32, nn::Activation::kRelu, Noise(66 * 32), Noise(32)},
                                  {32, 1, nn::Activation::kSigmoid, Noise(32), Noise(1)}}};
  }
  const auto file = *model_file::Write(spec);
  model::Model m;
  if (model::Model::Open(file, &m) != core::Code::kOk) return state.SkipWithError("model");
  std::vector<Block> workspace((m.workspace_bytes() + 15) / 16);
  const std::vector<float> features = Noise(66);
  float score = 0;
  for (auto _ : state) {
    const auto scratch = std::as_writable_bytes(std::span(workspace));
    if (m.Score(features, scratch, &score) != core::Code::kOk) state.SkipWithError("score");
    benchmark::DoNotOptimize(score);
  }
}
BENCHMARK_CAPTURE(Score, float, false);
BENCHMARK_CAPTURE(Score, int8, true);

}  // namespace
}  // namespace edgeloop
