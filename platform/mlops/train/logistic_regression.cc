#include "platform/mlops/train/logistic_regression.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <string>

namespace edgeloop::mlops {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kMaxHalvings = 30;
// |logit| of the worst row at which separated data without a penalty are given up on.
constexpr double kSeparatedLogit = 12.0;

// log(1 + e^z) without overflow.
double Softplus(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }

double LogLikelihood(const VectorXd& logits, const VectorXd& y, const VectorXd& weights) {
  double sum = 0;
  for (Index i = 0; i < y.size(); ++i) sum += weights[i] * (y[i] * logits[i] - Softplus(logits[i]));
  return sum;
}

// The smallest signed distance to the boundary: > 0 when every row is on its side.
double WorstMargin(const VectorXd& logits, const VectorXd& y) {
  double worst = HUGE_VAL;
  for (Index i = 0; i < y.size(); ++i) {
    worst = std::min(worst, y[i] > 0.5 ? logits[i] : -logits[i]);
  }
  return worst;
}

}  // namespace

double LogisticModel::Logit(std::span<const double> x) const {
  double logit = intercept;
  for (std::size_t i = 0; i < weights.size(); ++i) logit += weights[i] * x[i];
  return logit;
}

Expected<LogisticFit> FitLogistic(std::span<const double> x, std::span<const double> y,
                                  std::span<const double> row_weights,
                                  const LogisticOptions& options) {
  const auto rows = static_cast<Index>(y.size());
  if (rows == 0 || x.size() % y.size() != 0 || row_weights.size() != y.size()) {
    return Fail(ErrorCode::kInvalidArgument, "logistic regression: sizes do not fit");
  }
  const auto positives = std::ranges::count_if(y, [](double v) { return v > 0.5; });
  if (positives == 0 || positives == rows) {
    return Fail(ErrorCode::kInvalidArgument,
                "logistic regression: all rows are of one class; label healthy and faulty windows");
  }
  const auto columns = static_cast<Index>(x.size() / y.size());
  // The last column is the intercept's.
  MatrixXd design(rows, columns + 1);
  design.leftCols(columns) =
      Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
          x.data(), rows, columns);
  design.col(columns).setOnes();
  const VectorXd target = Eigen::Map<const VectorXd>(y.data(), rows);
  const VectorXd weight = Eigen::Map<const VectorXd>(row_weights.data(), rows);
  VectorXd penalty = VectorXd::Constant(columns + 1, options.l2 * static_cast<double>(rows));
  penalty[columns] = 0;

  VectorXd beta = VectorXd::Zero(columns + 1);
  VectorXd logits = VectorXd::Zero(rows);
  const auto objective = [&](const VectorXd& b, const VectorXd& z) {
    return LogLikelihood(z, target, weight) - 0.5 * penalty.dot(b.cwiseProduct(b));
  };
  double value = objective(beta, logits);
  FitReport report;
  while (true) {
    const VectorXd probability =
        logits.unaryExpr([](double z) { return 1.0 / (1.0 + std::exp(-z)); });
    const VectorXd gradient =
        design.transpose() * weight.cwiseProduct(target - probability) - penalty.cwiseProduct(beta);
    report.gradient = gradient.cwiseAbs().maxCoeff() / static_cast<double>(rows);
    const double margin = WorstMargin(logits, target);
    report.separable = margin > 0;
    if (options.l2 == 0 && margin > kSeparatedLogit) {
      return Fail(
          ErrorCode::kInvalidArgument,
          "logistic regression: the classes are separable and l2 is 0, so there is no finite "
          "optimum; set l2 > 0");
    }
    if (report.gradient <= options.tolerance) {
      report.converged = true;
      break;
    }
    if (report.iterations == options.max_iterations) break;
    ++report.iterations;

    const VectorXd curvature =
        weight.cwiseProduct(probability.cwiseProduct(VectorXd::Ones(rows) - probability));
    MatrixXd hessian = design.transpose() * curvature.asDiagonal() * design;
    hessian.diagonal() += penalty;
    const Eigen::LDLT<MatrixXd> factors(hessian);
    VectorXd step = factors.solve(gradient);
    if (factors.info() != Eigen::Success || !step.allFinite()) {
      // Columns depend on each other and nothing penalises it: the least-norm step is as good.
      step = hessian.completeOrthogonalDecomposition().solve(gradient);
    }
    bool better = false;
    for (int halving = 0; halving <= kMaxHalvings; ++halving) {
      const VectorXd next = beta + step;
      const VectorXd next_logits = design * next;
      const double next_value = objective(next, next_logits);
      if (next_value >= value) {
        better = next_value > value;
        beta = next;
        logits = next_logits;
        value = next_value;
        break;
      }
      step *= 0.5;
      ++report.halvings;
    }
    if (!better) break;  // at the limit of the arithmetic
  }
  // At the limit of the arithmetic the gradient is noise of this size.
  report.converged = report.converged || report.gradient <= 1e3 * options.tolerance;
  report.log_likelihood = LogLikelihood(logits, target, weight);
  LogisticFit fit{.model = {}, .report = report};
  fit.model.weights.assign(beta.data(), beta.data() + columns);
  fit.model.intercept = beta[columns];
  return fit;
}

std::vector<double> BalancedWeights(std::span<const double> y) {
  const auto rows = static_cast<double>(y.size());
  const auto positives =
      static_cast<double>(std::ranges::count_if(y, [](double v) { return v > 0.5; }));
  std::vector<double> weights;
  weights.reserve(y.size());
  for (double v : y) {
    weights.push_back(rows / (2.0 * std::max(1.0, v > 0.5 ? positives : rows - positives)));
  }
  return weights;
}

}  // namespace edgeloop::mlops
