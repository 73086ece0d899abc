// How the scratch of one call is divided. Everything in it is written before it is read.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dsp/fft.h"
#include "core/model/params.h"

namespace edgeloop::model {

inline constexpr std::size_t kWorkspaceAlignment = 16;

// The workspace as floats; empty when it is too small or not aligned.
inline std::span<float> AsFloats(std::span<std::byte> workspace, std::size_t floats) {
  if (workspace.size() < floats * sizeof(float)) return {};
  if (reinterpret_cast<std::uintptr_t>(workspace.data()) % kWorkspaceAlignment != 0) return {};
  return {reinterpret_cast<float*>(workspace.data()), floats};
}

// For a window of n samples.
struct FeatureScratch {
  static constexpr std::size_t BinsFloats(std::size_t n) { return n + 4; }  // n/2 + 1 bins, padded
  static constexpr std::size_t Floats(std::size_t n) {
    return dsp::RealFft::TableFloats(n) + 2 * n + 2 * BinsFloats(n);
  }
  FeatureScratch(std::span<float> floats, std::size_t n)
      : tables(floats.first(dsp::RealFft::TableFloats(n))),
        window(floats.subspan(tables.size(), n)),
        samples(floats.subspan(tables.size() + n, n)),
        a(floats.subspan(tables.size() + 2 * n, BinsFloats(n))),
        b(floats.subspan(tables.size() + 2 * n + BinsFloats(n), BinsFloats(n))) {}

  std::span<float> tables;
  std::span<float> window;
  std::span<float> samples;
  std::span<float> a;
  std::span<float> b;
};

// Normalised features and the activations of two layers.
struct ScoreScratch {
  static constexpr std::size_t Floats(std::size_t features) {
    return features + 2 * std::size_t{kMaxLayerWidth};
  }
  ScoreScratch(std::span<float> floats, std::size_t features)
      : normalized(floats.first(features)),
        a(floats.subspan(features, kMaxLayerWidth)),
        b(floats.subspan(features + kMaxLayerWidth, kMaxLayerWidth)) {}

  std::span<float> normalized;
  std::span<float> a;
  std::span<float> b;
};

}  // namespace edgeloop::model
