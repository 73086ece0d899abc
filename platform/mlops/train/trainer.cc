#include "platform/mlops/train/trainer.h"

#include <algorithm>
#include <cmath>

namespace edgeloop::mlops {
namespace {

// A feature that hardly varies must not be blown up: smallest standard deviation, absolute and
// relative to the mean.
constexpr double kMinStd = 1e-6;
constexpr double kMinRelativeStd = 1e-4;

struct Standardizer {
  std::vector<float> mean;
  std::vector<float> inv_std;
};

Standardizer FitStandardizer(const std::vector<const Row*>& rows) {
  const std::size_t columns = rows.front()->features.size();
  const auto count = static_cast<double>(rows.size());
  Standardizer standardizer;
  for (std::size_t j = 0; j < columns; ++j) {
    double mean = 0;
    for (const Row* row : rows) mean += row->features[j];
    mean /= count;
    double variance = 0;
    for (const Row* row : rows) variance += (row->features[j] - mean) * (row->features[j] - mean);
    const double std_dev =
        std::max({std::sqrt(variance / count), kMinStd, kMinRelativeStd * std::abs(mean)});
    standardizer.mean.push_back(static_cast<float>(mean));
    standardizer.inv_std.push_back(static_cast<float>(1.0 / std_dev));
  }
  return standardizer;
}

// As core computes it, in float.
std::vector<double> Standardize(const Standardizer& standardizer, float clip, const Row& row) {
  std::vector<double> z;
  z.reserve(row.features.size());
  for (std::size_t j = 0; j < row.features.size(); ++j) {
    z.push_back(std::clamp((row.features[j] - standardizer.mean[j]) * standardizer.inv_std[j],
                           -clip, clip));
  }
  return z;
}

struct Fitted {
  Standardizer standardizer;
  LogisticFit fit;
};

Expected<Fitted> FitRows(const std::vector<const Row*>& rows, const TrainOptions& options) {
  Fitted fitted{.standardizer = FitStandardizer(rows), .fit = {}};
  std::vector<double> x;
  std::vector<double> y;
  for (const Row* row : rows) {
    const std::vector<double> z = Standardize(fitted.standardizer, options.clip, *row);
    x.insert(x.end(), z.begin(), z.end());
    y.push_back(row->faulty ? 1.0 : 0.0);
  }
  Expected<LogisticFit> fit = FitLogistic(x, y, BalancedWeights(y), options.logistic);
  if (!fit) return Fail(fit.error());
  if (!fit->report.converged) {
    return Fail(ErrorCode::kInternal, "logistic regression did not converge in " +
                                          std::to_string(fit->report.iterations) +
                                          " iterations; raise train.l2 or train.max_iterations");
  }
  fitted.fit = std::move(*fit);
  return fitted;
}

}  // namespace

Expected<TrainedModel> Train(const Snapshot& snapshot, const model_file::ModelSpec& pipeline,
                             std::string name, std::uint32_t version, const TrainOptions& options) {
  std::vector<const Row*> rows;
  for (const Row& row : snapshot.rows) {
    if (row.purpose == Purpose::kTraining) rows.push_back(&row);
  }
  TrainedModel trained;
  TrainReport& report = trained.report;
  report.rows = static_cast<std::int64_t>(rows.size());
  report.faulty_rows = std::ranges::count_if(rows, [](const Row* row) { return row->faulty; });
  report.healthy_rows = report.rows - report.faulty_rows;
  if (std::min(report.healthy_rows, report.faulty_rows) < options.min_rows_per_class) {
    return Fail(ErrorCode::kInvalidArgument,
                "training needs " + std::to_string(options.min_rows_per_class) +
                    " windows of each class, has " + std::to_string(report.healthy_rows) +
                    " healthy and " + std::to_string(report.faulty_rows) +
                    " faulty; label more operation with purpose TRAINING");
  }

  // Scores of rows by models that did not see their part of the interval.
  std::vector<double> healthy_logits;
  std::vector<double> faulty_logits;
  for (unsigned fold = 0; fold < kFolds; ++fold) {
    std::vector<const Row*> kept;
    std::vector<const Row*> left_out;
    for (const Row* row : rows) (row->fold == fold ? left_out : kept).push_back(row);
    if (left_out.empty()) continue;
    Expected<Fitted> fitted = FitRows(kept, options);
    if (!fitted) return Fail(fitted.error(), "cross-validation");
    for (const Row* row : left_out) {
      (row->faulty ? faulty_logits : healthy_logits)
          .push_back(
              fitted->fit.model.Logit(Standardize(fitted->standardizer, options.clip, *row)));
    }
  }
  report.thresholds = ChooseThresholds(healthy_logits, faulty_logits, options.threshold);
  const double on = std::log(report.thresholds.alarm_on / (1.0 - report.thresholds.alarm_on));
  const auto share_above = [on](const std::vector<double>& logits) {
    return static_cast<double>(std::ranges::count_if(logits, [on](double z) { return z >= on; })) /
           static_cast<double>(logits.size());
  };
  report.held_out_recall = share_above(faulty_logits);
  report.held_out_false_alarm_rate = share_above(healthy_logits);

  Expected<Fitted> fitted = FitRows(rows, options);
  if (!fitted) return Fail(fitted.error());
  report.fit = fitted->fit.report;

  model_file::FloatLayer layer;
  layer.inputs = static_cast<std::uint16_t>(fitted->fit.model.weights.size());
  layer.outputs = 1;
  layer.activation = nn::Activation::kSigmoid;
  layer.weights.assign(fitted->fit.model.weights.begin(), fitted->fit.model.weights.end());
  layer.bias = {static_cast<float>(fitted->fit.model.intercept)};
  trained.spec = pipeline;
  trained.spec.name = std::move(name);
  trained.spec.version = version;
  trained.spec.normalization = {.mean = std::move(fitted->standardizer.mean),
                                .inv_std = std::move(fitted->standardizer.inv_std),
                                .clip = options.clip};
  trained.spec.network = model_file::FloatNetwork{.layers = {std::move(layer)}};
  trained.spec.decision = {.alarm_on = report.thresholds.alarm_on,
                           .alarm_off = report.thresholds.alarm_off,
                           .trip_count = options.trip_count,
                           .trip_window = options.trip_window,
                           .action = model::Action::kOpenContactor};
  trained.spec.health = options.health;
  return trained;
}

}  // namespace edgeloop::mlops
