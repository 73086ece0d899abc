// How far apart two samples of one feature are.
#pragma once

#include <span>
#include <vector>

namespace edgeloop::mlops {

inline constexpr int kPsiBins = 8;

// Inner bin edges: quantiles of the reference, so that each bin holds the same share of it.
std::vector<double> QuantileEdges(std::span<const double> reference, int bins = kPsiBins);

// Population stability index, sum((q - p) ln(q / p)) over the bins, with half a count added to each
// bin so that an empty one stays finite. 0: equal shares. Neither sample may be empty.
double Psi(std::span<const double> reference, std::span<const double> live,
           std::span<const double> edges);

// What the index is expected to be for two samples of the same distribution, of these effective
// sizes: (bins - 1)(1/n + 1/m), from its chi-squared limit.
double PsiNoiseFloor(int bins, double reference_size, double live_size);

// Two-sample Kolmogorov-Smirnov statistic: largest distance of the empirical distributions.
double KsDistance(std::span<const double> a, std::span<const double> b);

// Probability of at least this distance for samples of the same distribution, with the small-sample
// correction of M. A. Stephens, J. R. Stat. Soc. B 32 (1970) to Kolmogorov's limit. Sizes may be
// fractions: overlapping windows count for less than one each.
double KsPValue(double distance, double size_a, double size_b);

// Benjamini-Hochberg: which of the hypotheses to reject so that the expected share of false ones
// among them is at most `rate`.
std::vector<bool> RejectAtRate(std::span<const double> p_values, double rate);

}  // namespace edgeloop::mlops
