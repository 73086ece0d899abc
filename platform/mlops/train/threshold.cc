#include "platform/mlops/train/threshold.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace edgeloop::mlops {
namespace {

// Keeps a threshold a number that a score in 0..1 can reach and can fall below.
constexpr double kMaxLogit = 6.9;  // 0.999

float ToScore(double logit) {
  return static_cast<float>(1.0 / (1.0 + std::exp(-std::clamp(logit, -kMaxLogit, kMaxLogit))));
}

}  // namespace

double Quantile(std::span<const double> values, double q) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Thresholds ChooseThresholds(std::span<const double> healthy_logits,
                            std::span<const double> faulty_logits,
                            const ThresholdOptions& options) {
  Thresholds thresholds;
  thresholds.healthy_edge = Quantile(healthy_logits, options.healthy_quantile);
  thresholds.faulty_edge = Quantile(faulty_logits, options.faulty_quantile);
  const double way =
      options.position * std::max(0.0, thresholds.faulty_edge - thresholds.healthy_edge);
  thresholds.alarm_on = ToScore(thresholds.healthy_edge + way);
  thresholds.alarm_off =
      std::min(thresholds.alarm_on, ToScore(thresholds.healthy_edge + options.release * way));
  return thresholds;
}

}  // namespace edgeloop::mlops
