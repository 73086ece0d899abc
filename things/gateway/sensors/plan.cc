#include "things/gateway/sensors/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "things/gateway/sensors/table.h"

namespace edgeloop::sensors {
namespace {

// For each condition, the values in operation so far.
using Operated = std::map<std::string, std::set<double>>;

double ValueOf(const Conditions& conditions, std::string_view name) {
  for (const auto& [key, value] : conditions) {
    if (key == name) return value;
  }
  return 0;  // names were checked
}

bool Has(const Conditions& conditions, std::string_view name) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const auto& item) { return item.first == name; });
}

// `keys` match and every other condition has a value already in operation.
bool Selects(const Conditions& keys, const Operated& operated, const Recording& recording) {
  for (const auto& [name, value] : recording.conditions) {
    if (Has(keys, name)) {
      if (ValueOf(keys, name) != value) return false;
    } else if (!operated.at(name).contains(value)) {
      return false;
    }
  }
  return true;
}

class Planner {
 public:
  explicit Planner(const Catalogue& catalogue) : names_(catalogue.condition_names) {
    const RateAndChannels format = MainFormat(catalogue);
    for (const Recording& recording : catalogue.recordings) {
      if (recording.sample_rate_hz == format.sample_rate_hz &&
          recording.channels == format.channels) {
        recordings_.push_back(&recording);
      }
    }
  }

  Expected<Plan> Make(Conditions baseline, std::vector<Conditions> changes) {
    if (baseline.empty()) {
      auto found = FindBaseline();
      if (!found) return Fail(found.error());
      baseline = std::move(*found);
    } else if (Status status = CheckNames(baseline); !status) {
      return Fail(status.error(), "baseline");
    } else {
      for (const std::string& name : names_) {
        if (!Has(baseline, name)) {
          return Fail(ErrorCode::kInvalidArgument,
                      "baseline: give " + name + " too; " + WhatIsThere());
        }
      }
    }
    for (const auto& [name, value] : baseline) operated_[name] = {value};
    Plan plan;
    if (Status status = Add("baseline", baseline, &plan); !status) return Fail(status.error());
    if (plan.stages[0].faulty.empty()) {
      return Fail(ErrorCode::kNotFound,
                  "baseline (" + ToString(baseline) + "): no faulty recording; " + WhatIsThere());
    }
    if (changes.empty()) changes = FindChanges(baseline);
    for (size_t i = 0; i < changes.size(); ++i) {
      const std::string name = "change " + std::to_string(i + 1);
      if (Status status = CheckNames(changes[i]); !status) return Fail(status.error(), name);
      if (Status status = Add(name, changes[i], &plan); !status) return Fail(status.error());
      for (const auto& [key, value] : changes[i]) operated_[key].insert(value);
    }
    return plan;
  }

 private:
  std::string WhatIsThere() const {
    std::map<std::vector<double>, std::pair<int, int>> points;  // healthy, faulty
    std::map<std::vector<double>, std::string> texts;
    for (const Recording* recording : recordings_) {
      std::vector<double> point;
      for (const auto& item : recording->conditions) point.push_back(item.second);
      texts[point] = ToString(recording->conditions);
      ++(recording->faulty ? points[point].second : points[point].first);
    }
    std::string out = "there are";
    size_t listed = 0;
    for (const auto& [point, counts] : points) {
      if (++listed > 30) return out + "; and " + std::to_string(points.size() - 30) + " more";
      out += (listed > 1 ? "; " : " ") + texts[point] + ": " + std::to_string(counts.first) +
             " healthy, " + std::to_string(counts.second) + " faulty";
    }
    return out;
  }

  Status CheckNames(const Conditions& conditions) const {
    if (conditions.empty()) return Fail(ErrorCode::kInvalidArgument, "names no condition");
    for (const auto& item : conditions) {
      if (std::find(names_.begin(), names_.end(), item.first) != names_.end()) continue;
      std::string known;
      for (const std::string& name : names_) known += (known.empty() ? "" : ", ") + name;
      return Fail(
          ErrorCode::kInvalidArgument,
          "no condition '" + item.first + "'; the index has: " + (known.empty() ? "none" : known));
    }
    return {};
  }

  // Most faulty recordings among the points that have healthy ones too; ties: smallest values, the
  // first column counting most.
  Expected<Conditions> FindBaseline() const {
    struct Counts {
      Conditions conditions;
      int healthy = 0, faulty = 0;
    };
    std::map<std::vector<double>, Counts> points;
    for (const Recording* recording : recordings_) {
      std::vector<double> point;
      for (const auto& item : recording->conditions) point.push_back(item.second);
      Counts& counts = points[point];
      counts.conditions = recording->conditions;
      ++(recording->faulty ? counts.faulty : counts.healthy);
    }
    const Counts* best = nullptr;
    for (const auto& [point, counts] : points) {  // smallest values first
      if (counts.healthy == 0 || counts.faulty == 0) continue;
      if (best == nullptr || counts.faulty > best->faulty) best = &counts;
    }
    if (best == nullptr) {
      return Fail(ErrorCode::kNotFound,
                  "no operating point has both healthy and faulty recordings; " + WhatIsThere());
    }
    return best->conditions;
  }

  std::vector<Conditions> FindChanges(const Conditions& baseline) const {
    std::vector<Conditions> changes;
    Operated operated = operated_;
    for (const std::string& name : names_) {
      const double from = ValueOf(baseline, name);
      std::set<double> values;
      for (const Recording* recording : recordings_) {
        const double value = ValueOf(recording->conditions, name);
        if (!recording->faulty && value != from && Selects({{name, value}}, operated, *recording)) {
          values.insert(value);
        }
      }
      if (values.empty()) continue;
      auto next = values.upper_bound(from);
      if (next == values.end()) --next;  // none above: the next below
      changes.push_back({{name, *next}});
      operated[name].insert(*next);
    }
    return changes;
  }

  Status Add(const std::string& name, const Conditions& keys, Plan* plan) const {
    Stage stage{name, keys, {}, {}};
    for (const Recording* recording : recordings_) {
      if (!Selects(keys, operated_, *recording)) continue;
      (recording->faulty ? stage.faulty : stage.healthy).push_back(*recording);
    }
    if (stage.healthy.empty()) {
      return Fail(ErrorCode::kNotFound,
                  name + " (" + ToString(keys) + "): no healthy recording; " + WhatIsThere());
    }
    plan->stages.push_back(std::move(stage));
    return {};
  }

  const std::vector<std::string>& names_;
  std::vector<const Recording*> recordings_;
  Operated operated_;
};

}  // namespace

Expected<Plan> PlanConditions(const Catalogue& catalogue, const Conditions& baseline,
                              const std::vector<Conditions>& changes) {
  return Planner(catalogue).Make(baseline, changes);
}

Expected<Conditions> ParseConditions(std::string_view text) {
  Conditions conditions;
  while (true) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view item = Trim(text.substr(0, end));
    const size_t equals = item.find('=');
    double value = 0;
    if (equals == item.npos || equals == 0 || !ParseNumber(item.substr(equals + 1), &value)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + std::string(item) + "' is not of the form name=number");
    }
    const std::string name(Trim(item.substr(0, equals)));
    if (Has(conditions, name)) {
      return Fail(ErrorCode::kInvalidArgument, "'" + name + "' is given twice");
    }
    conditions.emplace_back(name, value);
    if (end == text.size()) return conditions;
    text.remove_prefix(end + 1);
  }
}

}  // namespace edgeloop::sensors
