#include "inference/module/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace edgeloop::module {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double RobustDeviation(std::span<const double> values, double center) {
  std::vector<double> deviations;
  deviations.reserve(values.size());
  for (double value : values) deviations.push_back(std::abs(value - center));
  return 1.4826 * Median(std::move(deviations));
}

double LogOdds(double probability) {
  const double p = std::clamp(probability, 0.002, 0.998);
  return std::log(p / (1 - p));
}
double Sigmoid(double log_odds) { return 1 / (1 + std::exp(-log_odds)); }

double Ewma(std::span<const double> values, double weight_of_newest) {
  if (values.empty()) return 0;
  double mean = values[0];
  for (double value : values.subspan(1)) mean += weight_of_newest * (value - mean);
  return mean;
}

double Cusum(std::span<const double> values, double allowance, double ceiling) {
  double sum = 0;
  for (double value : values) sum = std::clamp(sum + value - allowance, 0.0, ceiling);
  return sum;
}

Trend TrendOf(std::span<const double> x, std::span<const double> y) {
  const size_t step = (y.size() + kMaxTrendPoints - 1) / kMaxTrendPoints;
  std::vector<double> xs, ys;
  for (size_t i = 0; i < y.size(); i += std::max<size_t>(step, 1)) {
    xs.push_back(x[i]);
    ys.push_back(y[i]);
  }
  const auto n = static_cast<double>(ys.size());
  if (ys.size() < 8) return {};
  std::vector<double> slopes;
  double s = 0;
  std::map<double, double> ties;
  for (size_t i = 0; i < ys.size(); ++i) {
    ++ties[ys[i]];
    for (size_t j = i + 1; j < ys.size(); ++j) {
      s += (ys[j] > ys[i]) - (ys[j] < ys[i]);
      if (xs[j] > xs[i]) slopes.push_back((ys[j] - ys[i]) / (xs[j] - xs[i]));
    }
  }
  double variance = n * (n - 1) * (2 * n + 5);
  for (const auto& [value, count] : ties) variance -= count * (count - 1) * (2 * count + 5);
  variance /= 18;
  Trend trend{.slope = Median(std::move(slopes)), .z = 0};
  if (variance > 0 && s != 0) trend.z = (s - (s > 0 ? 1 : -1)) / std::sqrt(variance);
  return trend;
}

}  // namespace edgeloop::module
