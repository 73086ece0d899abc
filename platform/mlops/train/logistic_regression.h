// Binary logistic regression, fitted by Newton-Raphson (iteratively reweighted least squares):
// T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd ed., 4.4.1.
// One thread, fixed order of operations: the same rows give the same bits.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::mlops {

struct LogisticOptions {
  // Penalty l2 * n / 2 * |w|^2 on the sum of n weighted log-likelihoods; the intercept goes free.
  // Relative to n, so that the fit does not change when every row is seen twice.
  double l2 = 0.02;
  int max_iterations = 50;
  double tolerance = 1e-8;  // on the largest component of the gradient, divided by n
};

struct LogisticModel {
  std::vector<double> weights;
  double intercept = 0;
  double Logit(std::span<const double> x) const;
};

struct FitReport {
  int iterations = 0;
  int halvings = 0;  // Newton steps cut because they did not raise the objective
  bool converged = false;
  double gradient = 0;        // largest component, divided by n, where it stopped
  double log_likelihood = 0;  // weighted sum, without the penalty
  // A hyperplane splits the classes: without l2 the weights would grow for ever.
  bool separable = false;
};

struct LogisticFit {
  LogisticModel model;
  FitReport report;
};

// `x`: row-major, rows * columns; `y`: 0 or 1; `row_weights`: > 0.
// kInvalidArgument when a class is missing, when sizes do not fit, or when l2 is 0 and the data are
// separable (there is no finite optimum).
Expected<LogisticFit> FitLogistic(std::span<const double> x, std::span<const double> y,
                                  std::span<const double> row_weights,
                                  const LogisticOptions& options);

// Weights that let both classes count the same in all: n / (2 * n_class). Their sum is n.
std::vector<double> BalancedWeights(std::span<const double> y);

}  // namespace edgeloop::mlops
