#include "platform/mlops/compress/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <new>

#include "core/model/model.h"
#include "platform/mlops/compress/scorer.h"

namespace edgeloop::mlops {
namespace {

constexpr int kQuantMax = 127;
// Candidate input ranges, as shares of the largest standardised value: a narrower range saturates
// rare values and resolves the others better.
constexpr std::array kRangeShares = {1.0F, 0.85F, 0.7F, 0.6F, 0.5F, 0.4F};
constexpr std::size_t kMaxCalibrationRows = 4'096;

std::vector<float> Standardize(const model_file::NormalizationSpec& normalization, const Row& row) {
  std::vector<float> z;
  z.reserve(row.features.size());
  for (std::size_t j = 0; j < row.features.size(); ++j) {
    z.push_back(std::clamp((row.features[j] - normalization.mean[j]) * normalization.inv_std[j],
                           -normalization.clip, normalization.clip));
  }
  return z;
}

// Mean squared difference of the logits when the inputs are held in int8 at this scale.
double InputError(const std::vector<std::vector<float>>& rows, const std::vector<float>& weights,
                  float scale) {
  double sum = 0;
  for (const std::vector<float>& z : rows) {
    double difference = 0;
    for (std::size_t j = 0; j < z.size(); ++j) {
      const float q = std::clamp(std::round(z[j] / scale), -128.0F, 127.0F);
      difference += weights[j] * (q * scale - z[j]);
    }
    sum += difference * difference;
  }
  return sum / static_cast<double>(rows.size());
}

}  // namespace

Expected<Compressed> Quantize(const model_file::ModelSpec& model, const Snapshot& snapshot) {
  const auto* network = std::get_if<model_file::FloatNetwork>(&model.network);
  if (network == nullptr || network->layers.size() != 1) {
    return Fail(ErrorCode::kInvalidArgument, "quantize: needs a float network of one layer");
  }
  const model_file::FloatLayer& layer = network->layers.front();
  std::vector<std::vector<float>> calibration;
  float largest = 0;
  for (const Row& row : snapshot.rows) {
    if (row.purpose != Purpose::kTraining) continue;
    std::vector<float> z = Standardize(model.normalization, row);
    for (float value : z) largest = std::max(largest, std::abs(value));
    if (calibration.size() < kMaxCalibrationRows) calibration.push_back(std::move(z));
  }
  float largest_weight = 0;
  for (float weight : layer.weights) largest_weight = std::max(largest_weight, std::abs(weight));
  if (calibration.empty() || largest == 0 || largest_weight == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "quantize: nothing to calibrate on (no TRAINING rows, or a model of zero weights)");
  }
  float input_scale = 0;
  double least = HUGE_VAL;
  for (float share : kRangeShares) {
    const float scale = share * largest / kQuantMax;
    const double error = InputError(calibration, layer.weights, scale);
    if (error < least) {
      least = error;
      input_scale = scale;
    }
  }
  const float weight_scale = largest_weight / kQuantMax;
  model_file::Int8Layer quantized;
  quantized.inputs = layer.inputs;
  quantized.outputs = 1;
  quantized.activation = layer.activation;
  quantized.output_scale = input_scale * weight_scale;
  for (float weight : layer.weights) {
    quantized.weights.push_back(static_cast<std::int8_t>(std::lround(weight / weight_scale)));
  }
  quantized.bias = {static_cast<std::int32_t>(std::lround(
      static_cast<double>(layer.bias.front()) / static_cast<double>(quantized.output_scale)))};
  model_file::ModelSpec int8_model = model;
  int8_model.network = model_file::Int8Network{
      .input_scale = input_scale, .input_zero_point = 0, .layers = {std::move(quantized)}};

  Expected<std::vector<std::uint8_t>> float_elm = model_file::Write(model);
  if (!float_elm) return Fail(float_elm.error(), "quantize: float model");
  Expected<std::vector<std::uint8_t>> int8_elm = model_file::Write(int8_model);
  if (!int8_elm) return Fail(int8_elm.error(), "quantize: int8 model");

  Compressed compressed{.elm = std::move(*int8_elm),
                        .float_bytes = float_elm->size(),
                        .input_scale = input_scale,
                        .agreement = {}};
  Expected<Scorer> exact = Scorer::Open(*float_elm);
  if (!exact) return Fail(exact.error());
  Expected<Scorer> coarse = Scorer::Open(compressed.elm);
  if (!coarse) return Fail(coarse.error());
  Agreement& agreement = compressed.agreement;
  for (const Row& row : snapshot.rows) {
    const Expected<float> a = exact->Score(row.features);
    const Expected<float> b = coarse->Score(row.features);
    if (!a) return Fail(a.error());
    if (!b) return Fail(b.error());
    const double difference = std::abs(*a - *b);
    agreement.max_score_difference = std::max(agreement.max_score_difference, difference);
    agreement.mean_score_difference += difference;
    const float on = model.decision.alarm_on;
    agreement.decision_flips += (*a >= on) != (*b >= on);
    ++agreement.rows;
  }
  agreement.mean_score_difference /= static_cast<double>(agreement.rows);
  return compressed;
}

}  // namespace edgeloop::mlops
