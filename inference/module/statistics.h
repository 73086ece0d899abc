// Robust statistics of short series.
#pragma once

#include <span>
#include <vector>

namespace edgeloop::module {

double Median(std::vector<double> values);  // of none: 0
// Median absolute deviation from `center`, scaled to the standard deviation of a normal variable.
double RobustDeviation(std::span<const double> values, double center);

// log(p / (1 - p)), p held within 0.002..0.998: one window proves only so much.
double LogOdds(double probability);
double Sigmoid(double log_odds);

// Exponentially weighted mean, oldest first, started at the first value.
double Ewma(std::span<const double> values, double weight_of_newest);
// One-sided CUSUM: what has piled up above `allowance`, held at or above 0 and below `ceiling`.
double Cusum(std::span<const double> values, double allowance, double ceiling);

struct Trend {
  double slope = 0;  // Theil-Sen: median of the slopes of all pairs; value per unit of x
  double z = 0;      // Mann-Kendall, corrected for ties; beyond +-1.96 a trend at 5 %
};
// At most kMaxTrendPoints points are used (evenly thinned): the work grows with their square.
inline constexpr size_t kMaxTrendPoints = 120;
Trend TrendOf(std::span<const double> x, std::span<const double> y);

}  // namespace edgeloop::module
