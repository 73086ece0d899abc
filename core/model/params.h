// The vocabulary of a model file: operations, decision and health parameters, limits.
// Numbers are those of the file format (docs/spec/elm.md); never reuse or renumber them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgeloop::model {

inline constexpr std::size_t kMaxModelBytes = 4U << 20;  // 4 MiB
inline constexpr std::size_t kMaxNameChars = 48;
inline constexpr std::size_t kMaxFeatureNameChars = 32;  // with the terminating zero
inline constexpr std::uint32_t kMaxSampleRateHz = 10'000'000;
inline constexpr unsigned kMaxChannels = 8;
inline constexpr std::uint32_t kMinWindow = 256;
inline constexpr std::uint32_t kMaxWindow = 8192;
inline constexpr unsigned kMaxFeatures = 512;
inline constexpr unsigned kMaxOps = 64;
inline constexpr unsigned kMaxBands = 32;    // of one band operation
inline constexpr unsigned kMaxDominant = 8;  // of one dominant-frequency operation
inline constexpr unsigned kMaxLayers = 8;
inline constexpr unsigned kMaxLayerWidth = 512;
inline constexpr unsigned kMaxTripWindow = 64;

// One step of the feature pipeline. All work on a channel after its mean was taken away; those from
// kBands on see the one-sided power spectrum of the tapered window, those from kEnvRms on the
// envelope (Hilbert transform of the band [envelope_low, envelope_high]) after its mean was taken
// away. Units: `u` is the physical unit of the samples.
enum class OpKind : std::uint8_t {
  kRms = 1,            // u                      scale linear or log
  kPeak = 2,           // largest |x|, u         scale linear or log
  kCrest = 3,          // peak / rms
  kKurtosis = 4,       // 4th moment / variance^2 (3 for Gaussian noise)
  kSkewness = 5,       // 3rd moment / variance^1.5
  kZeroCrossings = 6,  // sign changes per second, Hz
  kBands = 16,         // power of each band, u^2; scale linear, log or ratio (of all bands' sum)
  kDominant = 17,      // the `count` highest spectral peaks: Hz of each, highest first
  kDominantAmplitude = 18,  // the same peaks: amplitude of each, u; scale linear or log
  kCentroid = 19,           // power-weighted mean frequency, Hz
  kEnvRms = 32,             // u                      scale linear or log
  kEnvKurtosis = 33,
  kEnvPeak = 34,   // dominant frequency of the envelope, Hz
  kEnvBands = 35,  // as kBands, of the envelope's spectrum
};

enum class Scale : std::uint8_t {
  kLinear = 0,
  kLog = 1,    // natural logarithm, guarded by dsp::kAmplitudeFloor / dsp::kPowerFloor
  kRatio = 2,  // bands only: share of the summed power of bins 1..window/2
};

enum class Action : std::uint8_t { kNone = 0, kOpenContactor = 1 };

// Score to decision. A window alarms when its score reaches alarm_on, and keeps alarming until a
// score falls below alarm_off; trip_count alarming windows among the last trip_window trip.
struct DecisionParams {
  float alarm_on = 0.5F;  // 0 < alarm_off <= alarm_on <= 1
  float alarm_off = 0.5F;
  std::uint8_t trip_count = 1;   // 1..trip_window
  std::uint8_t trip_window = 1;  // 1..kMaxTripWindow
  Action action = Action::kNone;
  bool operator==(const DecisionParams&) const = default;
};

// What a freshly installed model must show before a device trusts it.
struct HealthParams {
  std::uint16_t probation_windows = 16;    // >= 1
  float max_alarm_fraction = 1.0F;         // 0..1, of the probation windows
  std::uint32_t max_compute_us = 100'000;  // >= 1, features + score of one window
  bool operator==(const HealthParams&) const = default;
};

}  // namespace edgeloop::model
