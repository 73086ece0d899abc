// How good a model is, in the very form that devices run, on windows no model was trained on.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "platform/mlops/dataset/snapshot.h"

namespace edgeloop::mlops {

struct Evaluation {
  std::int64_t healthy_rows = 0;
  std::int64_t faulty_rows = 0;
  double f1 = 0;
  double precision = 0;
  double recall = 0;
  double false_alarm_rate = 0;                 // share of the healthy rows that alarm
  double auc = 0;                              // of the score, ties counted half
  std::map<std::string, double> label_recall;  // by faulty label
};

// A row alarms when its score reaches the model's alarm_on (no hysteresis: rows have no order).
Evaluation Evaluate(std::span<const float> scores, std::span<const Row* const> rows,
                    float alarm_on);
// On the VALIDATION rows of the snapshot. kInvalidArgument when there are none of a class.
Expected<Evaluation> EvaluateModel(std::span<const std::uint8_t> elm, const Snapshot& snapshot);

}  // namespace edgeloop::mlops
