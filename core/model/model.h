// A model file in memory: the whole path from samples to score (docs/spec/elm.md), used where it
// lies. No heap, no copy: `bytes` must outlive the Model (flash, an mmap, a vector).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/result.h"
#include "core/dsp/window.h"
#include "core/model/params.h"

namespace edgeloop::model {

// Total check of untrusted bytes: reads nothing outside `bytes`, accepts nothing that Features() or
// Score() could not run, bounded time (one pass over at most kMaxModelBytes).
core::Code Verify(std::span<const std::uint8_t> bytes);

class Model {
 public:
  // Verifies, then points `*out` into `bytes`. `*out` is untouched on failure.
  static core::Code Open(std::span<const std::uint8_t> bytes, Model* out);

  Model() = default;  // empty; only assignment from an opened model makes it useful

  std::string_view name() const { return name_; }
  std::uint32_t version() const { return version_; }
  std::uint32_t sample_rate_hz() const { return sample_rate_hz_; }
  std::uint8_t channels() const { return channels_; }             // 1..8
  std::uint32_t window() const { return window_; }                // frames, power of two 256..8192
  std::uint32_t hop() const { return hop_; }                      // frames, 1..window
  std::uint16_t feature_count() const { return feature_count_; }  // 1..512
  bool has_network() const { return network_.size() != 0; }
  const DecisionParams& decision() const { return decision_; }
  const HealthParams& health() const { return health_; }
  std::span<const std::uint8_t> bytes() const { return bytes_; }

  // Writes the zero-terminated name of feature `index` (channel by channel, within a channel in the
  // order of the pipeline), e.g. "ch0.rms", "ch1.band3", "ch2.env.peak_hz", and returns it.
  // `out` of kMaxFeatureNameChars always suffices; empty when the index or `out` does not fit.
  std::string_view FeatureName(std::size_t index, std::span<char> out) const;

  // Scratch that Features() and Score() need, aligned to 16 bytes. Nothing in it survives a call,
  // so models may share one of the larger size.
  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // samples: interleaved, window * channels, in the physical unit the model was trained on;
  // out: feature_count. kNotFinite when a sample is not finite or a feature overflows.
  core::Code Features(std::span<const float> samples, std::span<std::byte> workspace,
                      std::span<float> out) const;

  // Probability of a fault, 0..1. A model without a network scores 0. kNotFinite for a non-finite
  // feature.
  core::Code Score(std::span<const float> features, std::span<std::byte> workspace,
                   float* score) const;

 private:
  std::span<const std::uint8_t> bytes_;
  std::string_view name_;
  std::span<const std::uint8_t> ops_;            // op_count_ records
  std::span<const std::uint8_t> normalization_;  // empty without a network
  std::span<const std::uint8_t> network_;
  std::size_t workspace_bytes_ = 0;
  std::uint32_t version_ = 0;
  std::uint32_t sample_rate_hz_ = 0;
  std::uint32_t window_ = 0;
  std::uint32_t hop_ = 0;
  float envelope_low_ = 0;
  float envelope_high_ = 0;
  std::uint16_t feature_count_ = 0;
  std::uint16_t op_count_ = 0;
  std::uint8_t channels_ = 0;
  dsp::WindowKind window_kind_ = dsp::WindowKind::kRectangular;
  DecisionParams decision_;
  HealthParams health_;
};

}  // namespace edgeloop::model
