// From a snapshot to a float model: standardisation, cross-validated thresholds, logistic
// regression.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/model_file/model_spec.h"
#include "platform/mlops/dataset/snapshot.h"
#include "platform/mlops/train/logistic_regression.h"
#include "platform/mlops/train/threshold.h"

namespace edgeloop::mlops {

struct TrainOptions {
  LogisticOptions logistic;
  ThresholdOptions threshold;
  float clip = 8.0F;  // of standardised features: one wild feature cannot decide alone
  std::uint8_t trip_count = 13;
  std::uint8_t trip_window = 16;
  int min_rows_per_class = 16;  // of TRAINING
  model::HealthParams health{
      .probation_windows = 16, .max_alarm_fraction = 0.25F, .max_compute_us = 50'000};
};

struct TrainReport {
  std::int64_t rows = 0;
  std::int64_t healthy_rows = 0;
  std::int64_t faulty_rows = 0;
  FitReport fit;
  Thresholds thresholds;
  double held_out_recall = 0;            // at alarm_on, on the folds left out
  double held_out_false_alarm_rate = 0;  // likewise
};

struct TrainedModel {
  model_file::ModelSpec spec;  // float network, decision and health
  TrainReport report;
};

// `pipeline`: a model without a network, whose features the snapshot holds. Uses the TRAINING rows
// alone.
Expected<TrainedModel> Train(const Snapshot& snapshot, const model_file::ModelSpec& pipeline,
                             std::string name, std::uint32_t version, const TrainOptions& options);

}  // namespace edgeloop::mlops
