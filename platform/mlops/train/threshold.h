// Where a score becomes an alarm.
#pragma once

#include <span>

namespace edgeloop::mlops {

struct ThresholdOptions {
  // Quantiles of held-out scores that mark the edge of each class.
  double healthy_quantile = 1.0;
  double faulty_quantile = 0.05;
  // The alarm threshold on the way from the healthy edge (0) to the faulty edge (1), in logits. At
  // 0 it is the most sensitive one without a false alarm in cross-validation (Neyman-Pearson):
  // faults at conditions that no fault was ever labelled at score far below those that were.
  double position = 0.0;
  // alarm_off, on the way from the healthy edge (0) to alarm_on (1).
  double release = 0.75;
};

struct Thresholds {
  float alarm_on = 0.5F;
  float alarm_off = 0.5F;
  double healthy_edge = 0;  // logits
  double faulty_edge = 0;
};

// From logits of rows that the scoring model was not trained on. Where the edges cross, the healthy
// edge is the threshold: about 1 - healthy_quantile of the healthy windows then alarm.
// Neither span may be empty.
Thresholds ChooseThresholds(std::span<const double> healthy_logits,
                            std::span<const double> faulty_logits, const ThresholdOptions& options);

// Linear interpolation between order statistics (R's type 7, numpy's default). Not empty; 0..1.
double Quantile(std::span<const double> values, double q);

}  // namespace edgeloop::mlops
