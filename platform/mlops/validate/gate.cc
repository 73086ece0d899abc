#include "platform/mlops/validate/gate.h"

#include <cstdio>

namespace edgeloop::mlops {
namespace {

std::string Compared(const char* what, double value, const char* relation, double bound) {
  char text[128];
  std::snprintf(text, sizeof text, "%s %.4f %s %.4f", what, value, relation, bound);
  return text;
}

}  // namespace

GateDecision Judge(const Evaluation& challenger, const std::optional<Evaluation>& champion,
                   const GateOptions& options) {
  GateDecision decision;
  if (challenger.false_alarm_rate > options.max_false_alarm_rate) {
    decision.reasons.push_back(Compared("false alarm rate", challenger.false_alarm_rate,
                                        "above gate.max_false_alarm_rate",
                                        options.max_false_alarm_rate));
  }
  if (challenger.recall < options.min_recall) {
    decision.reasons.push_back(
        Compared("recall", challenger.recall, "below gate.min_recall", options.min_recall));
  }
  if (champion) {
    if (challenger.f1 < champion->f1) {
      decision.reasons.push_back(
          Compared("F1", challenger.f1, "below the champion's", champion->f1));
    } else if (challenger.f1 == champion->f1 &&
               challenger.false_alarm_rate >= champion->false_alarm_rate) {
      decision.reasons.push_back(
          Compared("no better than the champion: F1", challenger.f1, "equals", champion->f1));
    }
  }
  decision.passed = decision.reasons.empty();
  return decision;
}

}  // namespace edgeloop::mlops
