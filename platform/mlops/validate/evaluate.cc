#include "platform/mlops/validate/evaluate.h"

#include <algorithm>
#include <numeric>

#include "platform/mlops/compress/scorer.h"

namespace edgeloop::mlops {
namespace {

double Ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

// Probability that a faulty row scores above a healthy one (Mann-Whitney).
double Auc(std::span<const float> scores, std::span<const Row* const> rows, double healthy,
           double faulty) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t i) { return scores[i]; });
  double wins = 0;
  double healthy_below = 0;
  for (std::size_t i = 0; i < order.size();) {
    double tied_healthy = 0;
    double tied_faulty = 0;
    const float at = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == at; ++i) {
      (rows[order[i]]->faulty ? tied_faulty : tied_healthy) += 1;
    }
    wins += tied_faulty * (healthy_below + tied_healthy / 2);
    healthy_below += tied_healthy;
  }
  return Ratio(wins, healthy * faulty);
}

}  // namespace

Evaluation Evaluate(std::span<const float> scores, std::span<const Row* const> rows,
                    float alarm_on) {
  Evaluation evaluation;
  double true_alarms = 0;
  double false_alarms = 0;
  std::map<std::string, std::pair<double, double>> labels;  // alarms, rows
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool alarm = scores[i] >= alarm_on;
    if (rows[i]->faulty) {
      ++evaluation.faulty_rows;
      true_alarms += alarm;
      auto& [alarms, count] = labels[rows[i]->label];
      alarms += alarm;
      ++count;
    } else {
      ++evaluation.healthy_rows;
      false_alarms += alarm;
    }
  }
  const auto healthy = static_cast<double>(evaluation.healthy_rows);
  const auto faulty = static_cast<double>(evaluation.faulty_rows);
  evaluation.precision = Ratio(true_alarms, true_alarms + false_alarms);
  evaluation.recall = Ratio(true_alarms, faulty);
  evaluation.f1 = Ratio(2 * true_alarms, true_alarms + false_alarms + faulty);
  evaluation.false_alarm_rate = Ratio(false_alarms, healthy);
  evaluation.auc = Auc(scores, rows, healthy, faulty);
  for (const auto& [label, counts] : labels) {
    evaluation.label_recall[label] = counts.first / counts.second;
  }
  return evaluation;
}

Expected<Evaluation> EvaluateModel(std::span<const std::uint8_t> elm, const Snapshot& snapshot) {
  Expected<Scorer> scorer = Scorer::Open(elm);
  if (!scorer) return Fail(scorer.error(), "validate");
  std::vector<const Row*> rows;
  std::vector<float> scores;
  for (const Row& row : snapshot.rows) {
    if (row.purpose != Purpose::kValidation) continue;
    const Expected<float> score = scorer->Score(row.features);
    if (!score) return Fail(score.error(), "validate");
    rows.push_back(&row);
    scores.push_back(*score);
  }
  Evaluation evaluation = Evaluate(scores, rows, scorer->model().decision().alarm_on);
  if (evaluation.healthy_rows == 0 || evaluation.faulty_rows == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "validation needs healthy and faulty windows; label some with purpose VALIDATION");
  }
  return evaluation;
}

}  // namespace edgeloop::mlops
