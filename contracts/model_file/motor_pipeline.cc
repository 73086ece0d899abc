#include "contracts/model_file/model_spec.h"

namespace edgeloop::model_file {

ModelSpec DefaultMotorPipeline(std::uint32_t sample_rate_hz, std::uint8_t channels,
                               std::uint32_t window, std::uint32_t hop) {
  using model::OpKind;
  using model::Scale;
  // Write() refuses more than 8 channels; until then, all that a mask can hold.
  const auto all = static_cast<std::uint8_t>(channels < 8 ? (1U << channels) - 1 : 0xFF);
  // Octaves of Nyquist, finest where shaft speed and its harmonics lie (at 20 kHz: below 156 Hz,
  // 312, 625, 1250, 2500, 5000, 7500, 10000 Hz). Every band has a bin from window 256 on.
  const std::vector<float> bands = {0,     1.0F / 64, 1.0F / 32, 1.0F / 16, 1.0F / 8,
                                    0.25F, 0.5F,      0.75F,     1.0F};

  // Few features for few windows: on the recordings of a motor rig, envelope and dominant-frequency
  // features caught no fault that these miss and doubled the number of weights.
  ModelSpec spec;
  spec.name = "factory";
  spec.sample_rate_hz = sample_rate_hz;
  spec.channels = channels;
  spec.window = window;
  spec.hop = hop;
  spec.window_kind = dsp::WindowKind::kHann;
  spec.ops = {
      {OpKind::kRms, all, Scale::kLog, 1, {}},
      {OpKind::kPeak, all, Scale::kLog, 1, {}},
      {OpKind::kCrest, all, Scale::kLinear, 1, {}},
      {OpKind::kKurtosis, all, Scale::kLinear, 1, {}},
      {OpKind::kSkewness, all, Scale::kLinear, 1, {}},
      {OpKind::kBands, all, Scale::kLog, 8, bands},
  };
  spec.decision = {.alarm_on = 0.7F,
                   .alarm_off = 0.4F,
                   .trip_count = 5,
                   .trip_window = 8,
                   .action = model::Action::kOpenContactor};
  spec.health = {.probation_windows = 32, .max_alarm_fraction = 0.2F, .max_compute_us = 20'000};
  return spec;
}

}  // namespace edgeloop::model_file
