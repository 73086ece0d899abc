#include "inference/module/level2.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/module/statistics.h"

namespace edgeloop::module {
namespace {

constexpr double kRecentSeconds = 5;    // what is judged; what is older is the reference
constexpr size_t kFewestRecent = 3;     // windows, else the recent ones are counted as if so many
constexpr size_t kFewestReference = 8;  // windows, else no change is told
constexpr double kEwmaWeight = 0.15;
constexpr double kCusumAllowance = 1;  // log-odds
constexpr double kCusumCeiling = 60;
constexpr double kNotableChange = 5;      // robust deviations
constexpr double kLargestChange = 1'000;  // more is told as this
constexpr size_t kChangesTold = 3;

// Weights of the evidence, in log-odds of a fault.
constexpr double kBias = -0.3;
constexpr double kAlarmWeight = 4.0;   // times (alarm fraction - 1/2)
constexpr double kEwmaShare = 0.45;    // of the smoothed level-1 log-odds
constexpr double kCusumWeight = 0.8;   // when the CUSUM is at its ceiling
constexpr double kChangeWeight = 1.5;  // when every notable feature has changed strongly
constexpr double kTrendWeight = 0.8;   // when the score rises significantly
constexpr double kOutOfRangeWeight = 0.7;
constexpr double kCriticalityWeight = 0.8;  // times (criticality - 1/2)

struct Change {
  int feature = 0;
  double deviations = 0;  // of the recent median from the reference, in robust deviations
};

std::unexpected<Error> Bad(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, std::move(message));
}

Status Check(const v1::ModuleRequest& request) {
  if (request.history_size() == 0) return Bad("no history");
  if (request.history_size() > kMaxHistory) {
    return Bad("history of more than " + std::to_string(kMaxHistory) + " records");
  }
  const int features = request.history(0).features_size();
  if (features > kMaxFeatures || request.history(0).feature_names_size() != features) {
    return Bad("the first record must name its features (at most " + std::to_string(kMaxFeatures) +
               ")");
  }
  uint64_t before_ns = 0;
  for (const auto& record : request.history()) {
    if (record.features_size() != features) return Bad("records with different features");
    if (record.sensed_at_ns() < before_ns) return Bad("records out of order");
    before_ns = record.sensed_at_ns();
    if (!std::isfinite(record.score())) return Bad("a score is not finite");
    for (float value : record.features()) {
      if (!std::isfinite(value)) return Bad("a feature is not finite");
    }
  }
  return {};
}

// Median of each feature in the recent windows (of those that alarm, where they are enough to tell
// what a beginning fault looks like) against the device's own earlier ones. Earlier windows that
// alarmed or ran with the contactor open are left out of the reference where enough others remain.
std::vector<Change> FindChanges(const v1::ModuleRequest& request, int first_recent) {
  std::vector<int> reference;
  for (int i = 0; i < first_recent; ++i) {
    const auto& record = request.history(i);
    if (!record.alarm() && !record.actuator_open()) reference.push_back(i);
  }
  if (reference.size() < kFewestReference) {
    reference.clear();
    for (int i = 0; i < first_recent; ++i) reference.push_back(i);
  }
  if (reference.size() < kFewestReference) return {};
  std::vector<int> judged;
  for (int i = first_recent; i < request.history_size(); ++i) {
    if (request.history(i).alarm()) judged.push_back(i);
  }
  if (judged.size() < kFewestRecent) {
    judged.clear();
    for (int i = first_recent; i < request.history_size(); ++i) judged.push_back(i);
  }
  std::vector<Change> changes;
  for (int f = 0; f < request.history(0).features_size(); ++f) {
    std::vector<double> earlier, recent;
    for (int i : reference) earlier.push_back(request.history(i).features(f));
    for (int i : judged) recent.push_back(request.history(i).features(f));
    const double center = Median(earlier);
    // A feature that never moved would give any move an infinite weight.
    const double floor = 1e-9 + 0.01 * std::abs(center);
    const double deviation = std::max(RobustDeviation(earlier, center), floor);
    const double deviations = (Median(std::move(recent)) - center) / deviation;
    changes.push_back({f, std::clamp(deviations, -kLargestChange, kLargestChange)});
  }
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::abs(a.deviations) > std::abs(b.deviations);
  });
  return changes;
}

// 0..1: the share of features that moved notably, a quarter of them being all that it takes.
double ChangeStrength(const std::vector<Change>& changes) {
  if (changes.empty()) return 0;
  const auto moved = std::count_if(changes.begin(), changes.end(), [](const Change& change) {
    return std::abs(change.deviations) >= kNotableChange;
  });
  return std::min(1.0, 4.0 * static_cast<double>(moved) / static_cast<double>(changes.size()));
}

// Values <name> of the context that lie beyond <name>_max or <name>_min.
std::string OutOfRange(const v1::Context& context) {
  std::string found;
  std::vector<std::string> names;
  for (const auto& item : context.values()) names.push_back(item.first);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const auto most = context.values().find(name + "_max");
    const auto least = context.values().find(name + "_min");
    const double value = context.values().at(name);
    const bool above = most != context.values().end() && value > most->second;
    const bool below = least != context.values().end() && value < least->second;
    if (!above && !below) continue;
    found += (found.empty() ? "" : ", ") + name + (above ? " above" : " below");
  }
  return found;
}

template <typename... Args>
std::string Text(const char* format, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

}  // namespace

Expected<v1::Inference> Infer(const v1::ModuleRequest& request) {
  if (Status status = Check(request); !status) return Fail(status.error());
  const int count = request.history_size();
  const uint64_t newest_ns = request.history(count - 1).sensed_at_ns();
  int first_recent = count - 1;
  while (first_recent > 0 &&
         static_cast<double>(newest_ns - request.history(first_recent - 1).sensed_at_ns()) <=
             kRecentSeconds * 1e9) {
    --first_recent;
  }

  size_t alarms = 0;
  std::vector<double> recent_log_odds, times_min, scores;
  for (int i = 0; i < count; ++i) {
    const auto& record = request.history(i);
    times_min.push_back(-static_cast<double>(newest_ns - record.sensed_at_ns()) / 60e9);
    scores.push_back(record.score());
    if (i < first_recent) continue;
    alarms += record.alarm();
    recent_log_odds.push_back(LogOdds(record.score()));
  }
  const size_t recent = std::max(recent_log_odds.size(), kFewestRecent);
  const double alarm_fraction = static_cast<double>(alarms) / static_cast<double>(recent);
  const double ewma = Ewma(recent_log_odds, kEwmaWeight) *
                      static_cast<double>(recent_log_odds.size()) / static_cast<double>(recent);
  const double cusum = Cusum(recent_log_odds, kCusumAllowance, kCusumCeiling);
  const std::vector<Change> changes = FindChanges(request, first_recent);
  const double change = ChangeStrength(changes);
  const Trend trend = TrendOf(times_min, scores);
  const std::string out_of_range = OutOfRange(request.context());
  const double criticality = request.has_context() ? request.context().criticality() : 0.5;
  const double rise = trend.slope > 0 ? std::clamp((trend.z - 1.96) / 4, 0.0, 1.0) : 0;

  const double log_odds = kBias + kAlarmWeight * (alarm_fraction - 0.5) + kEwmaShare * ewma +
                          kCusumWeight * cusum / kCusumCeiling + kChangeWeight * change +
                          kTrendWeight * rise + (out_of_range.empty() ? 0 : kOutOfRangeWeight) +
                          kCriticalityWeight * (std::clamp(criticality, 0.0, 1.0) - 0.5);

  v1::Inference inference;
  inference.set_device(request.device());
  inference.set_sensed_at_ns(newest_ns);
  inference.set_module("level2-evidence/1");
  inference.set_score(Sigmoid(log_odds));
  auto& evidence = *inference.mutable_evidence();
  evidence["alarm_fraction"] = alarm_fraction;
  evidence["ewma_log_odds"] = ewma;
  evidence["cusum"] = cusum;
  evidence["change"] = change;
  evidence["trend_per_min"] = trend.slope;
  evidence["trend_z"] = trend.z;
  evidence["out_of_range"] = out_of_range.empty() ? 0 : 1;
  evidence["criticality"] = criticality;

  std::string why = Text("%zu of %zu windows of the last %.0f s alarm, smoothed level-1 score %.2f",
                         alarms, recent_log_odds.size(), kRecentSeconds, Sigmoid(ewma));
  std::string told;
  for (size_t i = 0; i < std::min(kChangesTold, changes.size()); ++i) {
    const std::string& name = request.history(0).feature_names(changes[i].feature);
    evidence["feature:" + name.substr(0, 64)] = changes[i].deviations;
    if (std::abs(changes[i].deviations) < kNotableChange) continue;
    told += (told.empty() ? "" : ", ") + name.substr(0, 64) + Text(" %+.1f", changes[i].deviations);
  }
  if (!told.empty()) why += "; against its own earlier minutes (robust deviations): " + told;
  if (rise > 0) why += Text("; score rising by %.2f a minute", trend.slope);
  if (!out_of_range.empty()) why += "; beyond its rated range: " + out_of_range;
  inference.set_explanation(why);
  return inference;
}

}  // namespace edgeloop::module
