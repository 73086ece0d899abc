#include "platform/mlops/train/logistic_regression.h"

#include <gtest/gtest.h>

#include <cmath>

#include "platform/mlops/testdata/lcg.h"

namespace edgeloop::mlops {
namespace {

struct Data {
  std::vector<double> x, y;
};

// As logistic() of testdata/golden.py.
Data Generate(int rows, int columns) {
  const double truth[] = {2.0, -1.0, 0.5, 0.0};
  Lcg lcg(1);
  Data data;
  for (int i = 0; i < rows * columns; ++i) data.x.push_back(2 * lcg.Uniform() - 1);
  for (int i = 0; i < rows; ++i) {
    double logit = -0.7;
    for (int j = 0; j < columns; ++j) logit += truth[j] * data.x[i * columns + j];
    data.y.push_back(lcg.Uniform() < 1 / (1 + std::exp(-logit)) ? 1 : 0);
  }
  return data;
}

TEST(LogisticRegression, AgreesWithScikitLearn) {
  const Data data = Generate(60, 3);
  const auto fit = FitLogistic(data.x, data.y, BalancedWeights(data.y), {.l2 = 0.02});
  ASSERT_TRUE(fit) << fit.error().ToString();
  EXPECT_TRUE(fit->report.converged);
  const double golden[] = {1.611876036136, -1.677935789555, 0.721765769935};
  for (int j = 0; j < 3; ++j) EXPECT_NEAR(fit->model.weights[j], golden[j], 1e-7);
  EXPECT_NEAR(fit->model.intercept, -0.076309382660, 1e-7);
}

TEST(LogisticRegression, AgreesWithScikitLearnUnweighted) {
  const Data data = Generate(200, 4);
  const auto fit =
      FitLogistic(data.x, data.y, std::vector<double>(data.y.size(), 1.0), {.l2 = 0.001});
  ASSERT_TRUE(fit) << fit.error().ToString();
  const double golden[] = {1.900851040434, -0.655391314316, 0.908915004322, 0.355907980940};
  for (int j = 0; j < 4; ++j) EXPECT_NEAR(fit->model.weights[j], golden[j], 1e-7);
  EXPECT_NEAR(fit->model.intercept, -0.940615862806, 1e-7);
}

// One binary feature, no penalty: the coefficients are the log odds of the 2x2 table.
TEST(LogisticRegression, ClosedFormOfATwoByTwoTable) {
  std::vector<double> x, y;
  const auto add = [&](double feature, double target, int count) {
    for (int i = 0; i < count; ++i) x.push_back(feature), y.push_back(target);
  };
  add(0, 0, 30);
  add(0, 1, 10);
  add(1, 0, 5);
  add(1, 1, 20);
  const auto fit = FitLogistic(x, y, std::vector<double>(y.size(), 1.0), {.l2 = 0});
  ASSERT_TRUE(fit) << fit.error().ToString();
  EXPECT_NEAR(fit->model.intercept, std::log(10.0 / 30.0), 1e-6);
  EXPECT_NEAR(fit->model.weights[0], std::log(20.0 / 5.0) - std::log(10.0 / 30.0), 1e-6);
  EXPECT_NEAR(fit->report.log_likelihood,
              30 * std::log(.75) + 10 * std::log(.25) + 5 * std::log(.2) + 20 * std::log(.8), 1e-9);
  EXPECT_FALSE(fit->report.separable);
}

TEST(LogisticRegression, ARowWeightIsAsGoodAsARepeatedRow) {
  const Data data = Generate(60, 3);
  Data doubled = data;
  doubled.x.insert(doubled.x.end(), data.x.begin(), data.x.end());
  doubled.y.insert(doubled.y.end(), data.y.begin(), data.y.end());
  const auto once = FitLogistic(data.x, data.y, BalancedWeights(data.y), {});
  const auto twice = FitLogistic(doubled.x, doubled.y, BalancedWeights(doubled.y), {});
  ASSERT_TRUE(once && twice);
  for (int j = 0; j < 3; ++j) {
    EXPECT_NEAR(once->model.weights[j], twice->model.weights[j], 1e-9);
  }
}

TEST(LogisticRegression, SeparableDataNeedAPenalty) {
  const std::vector<double> x = {-2, -1, 1, 2};
  const std::vector<double> y = {0, 0, 1, 1};
  const std::vector<double> weights(4, 1.0);
  const auto without = FitLogistic(x, y, weights, {.l2 = 0});
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message().find("separable"), std::string::npos);
  const auto with = FitLogistic(x, y, weights, {.l2 = 0.1});
  ASSERT_TRUE(with) << with.error().ToString();
  EXPECT_TRUE(with->report.converged);
  EXPECT_TRUE(with->report.separable);
  EXPECT_GT(with->model.weights[0], 0);
  EXPECT_NEAR(with->model.intercept, 0, 1e-9);  // by symmetry
}

TEST(LogisticRegression, EqualColumnsShareTheWeight) {
  const Data data = Generate(60, 1);
  std::vector<double> twice;
  for (double v : data.x) twice.insert(twice.end(), {v, v});
  const auto fit = FitLogistic(twice, data.y, BalancedWeights(data.y), {.l2 = 0.02});
  ASSERT_TRUE(fit) << fit.error().ToString();
  EXPECT_NEAR(fit->model.weights[0], fit->model.weights[1], 1e-9);
  // Without a penalty the Hessian is singular; there is still an optimum.
  const auto singular = FitLogistic(twice, data.y, BalancedWeights(data.y), {.l2 = 0});
  ASSERT_TRUE(singular) << singular.error().ToString();
  EXPECT_TRUE(singular->report.converged);
}

TEST(LogisticRegression, IsDeterministicToTheBit) {
  const Data data = Generate(200, 4);
  const auto a = FitLogistic(data.x, data.y, BalancedWeights(data.y), {});
  const auto b = FitLogistic(data.x, data.y, BalancedWeights(data.y), {});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->model.weights, b->model.weights);
  EXPECT_EQ(a->model.intercept, b->model.intercept);
}

TEST(LogisticRegression, RefusesOneClassAndBadSizes) {
  const std::vector<double> x = {1, 2, 3};
  EXPECT_FALSE(FitLogistic(x, std::vector<double>{1, 1, 1}, std::vector<double>(3, 1), {}));
  EXPECT_FALSE(FitLogistic(x, std::vector<double>{1, 0}, std::vector<double>(2, 1), {}));
  EXPECT_FALSE(FitLogistic({}, {}, {}, {}));
}

}  // namespace
}  // namespace edgeloop::mlops
