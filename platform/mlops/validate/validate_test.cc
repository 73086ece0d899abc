#include <gtest/gtest.h>

#include "platform/mlops/validate/evaluate.h"
#include "platform/mlops/validate/gate.h"

namespace edgeloop::mlops {
namespace {

TEST(Evaluate, ByHand) {
  const Row healthy{.label = "healthy"};
  const Row inner{.label = "inner", .faulty = true};
  const Row outer{.label = "outer", .faulty = true};
  const std::vector<const Row*> rows = {&healthy, &healthy, &healthy, &healthy,
                                        &inner,   &inner,   &outer,   &outer};
  const std::vector<float> scores = {0.1F, 0.2F, 0.3F, 0.7F, 0.9F, 0.7F, 0.3F, 0.8F};
  const Evaluation e = Evaluate(scores, rows, 0.5F);
  EXPECT_DOUBLE_EQ(e.precision, 3.0 / 4);
  EXPECT_DOUBLE_EQ(e.recall, 3.0 / 4);
  EXPECT_DOUBLE_EQ(e.f1, 3.0 / 4);
  EXPECT_DOUBLE_EQ(e.false_alarm_rate, 1.0 / 4);
  EXPECT_DOUBLE_EQ(e.label_recall.at("inner"), 1.0);
  EXPECT_DOUBLE_EQ(e.label_recall.at("outer"), 0.5);
  // Pairs won: 0.9 and 0.8 win 4 each, 0.7 wins 3 and ties 1, 0.3 wins 2 and ties 1.
  EXPECT_DOUBLE_EQ(e.auc, (4 + 4 + 3.5 + 2.5) / 16);
}

Evaluation Of(double f1, double recall, double false_alarm_rate) {
  return {.f1 = f1, .recall = recall, .false_alarm_rate = false_alarm_rate};
}

TEST(Gate, TheFirstModelMeetsTheBounds) {
  EXPECT_TRUE(Judge(Of(0.9, 0.9, 0.01), std::nullopt, {}).passed);
  const GateDecision refused = Judge(Of(0.5, 0.5, 0.5), std::nullopt, {});
  EXPECT_FALSE(refused.passed);
  EXPECT_EQ(refused.reasons.size(), 2u);
}

TEST(Gate, AChallengerIsBetterOrStays) {
  const Evaluation champion = Of(0.95, 0.95, 0.02);
  EXPECT_TRUE(Judge(Of(0.96, 0.95, 0.03), champion, {}).passed);
  EXPECT_FALSE(Judge(Of(0.94, 0.99, 0.0), champion, {}).passed);
  EXPECT_TRUE(Judge(Of(0.95, 0.94, 0.01), champion, {}).passed);   // a tie with fewer false alarms
  EXPECT_FALSE(Judge(Of(0.95, 0.95, 0.02), champion, {}).passed);  // no better
}

}  // namespace
}  // namespace edgeloop::mlops
