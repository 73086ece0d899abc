// May the challenger replace the champion?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "platform/mlops/validate/evaluate.h"

namespace edgeloop::mlops {

struct GateOptions {
  double max_false_alarm_rate = 0.05;
  double min_recall = 0.8;
};

struct GateDecision {
  bool passed = false;
  std::vector<std::string> reasons;  // why not; empty when passed
};

// Without a champion the bounds alone decide. With one, the challenger's F1 must be higher, or
// equal with fewer false alarms.
GateDecision Judge(const Evaluation& challenger, const std::optional<Evaluation>& champion,
                   const GateOptions& options);

}  // namespace edgeloop::mlops
