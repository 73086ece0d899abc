// Models for the tests of the gateway.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "contracts/model_file/model_spec.h"

namespace edgeloop::gateway {

inline std::vector<uint8_t> WriteModel(const model_file::ModelSpec& spec) {
  auto bytes = model_file::Write(spec);
  if (!bytes) throw std::runtime_error(bytes.error().ToString());
  return *bytes;
}

// Scores sigmoid(bias + weight * ln(rms of channel 0)): a loud machine is a faulty one. Trips when
// 2 of the last 3 windows alarm.
inline model_file::ModelSpec RmsModel(uint32_t rate_hz, uint8_t channels, float weight, float bias,
                                      uint32_t version = 1) {
  model_file::ModelSpec spec = model_file::DefaultMotorPipeline(rate_hz, channels, 256, 128);
  spec.name = "motor";
  spec.version = version;
  const auto bytes = WriteModel(spec);
  model::Model model;
  if (model::Model::Open(bytes, &model) != core::Code::kOk) throw std::runtime_error("open");
  const auto names = model_file::FeatureNames(model);
  const size_t features = names.size();
  spec.normalization = {.mean = std::vector<float>(features, 0.0f),
                        .inv_std = std::vector<float>(features, 1.0f),
                        .clip = 1000.0f};
  model_file::FloatLayer layer{.inputs = static_cast<uint16_t>(features),
                               .outputs = 1,
                               .activation = nn::Activation::kSigmoid,
                               .weights = std::vector<float>(features, 0.0f),
                               .bias = {bias}};
  for (size_t i = 0; i < features; ++i) {
    if (names[i] == "ch0.rms") layer.weights[i] = weight;
  }
  spec.network = model_file::FloatNetwork{{layer}};
  spec.decision = {.alarm_on = 0.6f,
                   .alarm_off = 0.4f,
                   .trip_count = 2,
                   .trip_window = 3,
                   .action = model::Action::kOpenContactor};
  spec.health = {.probation_windows = 4, .max_alarm_fraction = 0.5f, .max_compute_us = 1'000'000};
  return spec;
}

}  // namespace edgeloop::gateway
