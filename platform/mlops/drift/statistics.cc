#include "platform/mlops/drift/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace edgeloop::mlops {
namespace {

constexpr double kPseudoCount = 0.5;
constexpr int kMaxKsTerms = 100;
// Below this argument the alternating series converges badly and the probability is 1 to 6 digits.
constexpr double kSmallLambda = 0.3;

std::vector<double> Shares(std::span<const double> values, std::span<const double> edges) {
  std::vector<double> shares(edges.size() + 1, kPseudoCount);
  for (double value : values) {
    shares[static_cast<std::size_t>(std::ranges::upper_bound(edges, value) - edges.begin())] += 1;
  }
  const double total = std::reduce(shares.begin(), shares.end());
  for (double& share : shares) share /= total;
  return shares;
}

}  // namespace

std::vector<double> QuantileEdges(std::span<const double> reference, int bins) {
  std::vector<double> sorted(reference.begin(), reference.end());
  std::ranges::sort(sorted);
  std::vector<double> edges;
  for (int i = 1; i < bins; ++i) {
    const double position = static_cast<double>(sorted.size() - 1) * i / bins;
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    edges.push_back(sorted[below] +
                    (position - static_cast<double>(below)) * (sorted[above] - sorted[below]));
  }
  return edges;
}

double Psi(std::span<const double> reference, std::span<const double> live,
           std::span<const double> edges) {
  const std::vector<double> p = Shares(reference, edges);
  const std::vector<double> q = Shares(live, edges);
  double psi = 0;
  for (std::size_t i = 0; i < p.size(); ++i) psi += (q[i] - p[i]) * std::log(q[i] / p[i]);
  return psi;
}

double PsiNoiseFloor(int bins, double reference_size, double live_size) {
  return (bins - 1) * (1 / reference_size + 1 / live_size);
}

double KsDistance(std::span<const double> a, std::span<const double> b) {
  std::vector<double> x(a.begin(), a.end());
  std::vector<double> y(b.begin(), b.end());
  std::ranges::sort(x);
  std::ranges::sort(y);
  double distance = 0;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < x.size() && j < y.size()) {
    const double at = std::min(x[i], y[j]);
    while (i < x.size() && x[i] == at) ++i;
    while (j < y.size() && y[j] == at) ++j;
    distance = std::max(distance, std::abs(static_cast<double>(i) / static_cast<double>(x.size()) -
                                           static_cast<double>(j) / static_cast<double>(y.size())));
  }
  return distance;
}

double KsPValue(double distance, double size_a, double size_b) {
  const double root = std::sqrt(size_a * size_b / (size_a + size_b));
  const double lambda = (root + 0.12 + 0.11 / root) * distance;
  if (lambda < kSmallLambda) return 1;
  double sum = 0;
  double sign = 1;
  for (int k = 1; k <= kMaxKsTerms; ++k) {
    const double term = std::exp(-2.0 * k * k * lambda * lambda);
    sum += sign * term;
    if (term < 1e-18) break;
    sign = -sign;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

std::vector<bool> RejectAtRate(std::span<const double> p_values, double rate) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t i) { return p_values[i]; });
  std::vector<bool> rejected(p_values.size(), false);
  for (std::size_t rank = order.size(); rank > 0; --rank) {
    if (p_values[order[rank - 1]] <=
        rate * static_cast<double>(rank) / static_cast<double>(order.size())) {
      for (std::size_t i = 0; i < rank; ++i) rejected[order[i]] = true;
      break;
    }
  }
  return rejected;
}

}  // namespace edgeloop::mlops
