// Alert rules: an expression over what is known of a device, and when its alert is raised and
// cleared. Expressions are muParser's: + - * / ^, < <= > >= == !=, && ||, ?:, min, max, abs...
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::alerts {

inline constexpr size_t kMaxRules = 100;
inline constexpr size_t kMaxExpressionLength = 1'000;

struct RuleOptions {
  std::string name;
  std::string when;
  std::string severity = "warning";  // info, warning, critical
  // How long, by the time of sensing, the condition must hold before the alert is raised, and must
  // not hold before it is cleared.
  uint64_t hold_ms = 0;
  uint64_t clear_ms = 2'000;
};
// What is watched when the configuration has no rules.
RuleOptions DefaultRule();

// The variables of the expressions.
struct Facts {
  double l1_score = 0;                    // of the newest window
  double l1_alarm_fraction = 0;           // of the windows of the last seconds
  double l1_trip = 0;                     // 1: the device has tripped
  double l2_score = 0;                    // of the newest inference; 0: none yet
  double data_age_ms = 0;                 // of the newest record
  double criticality = 0.5;               // of the machine
  std::map<std::string, double> context;  // ctx_<name>
};
inline constexpr std::string_view kContextPrefix = "ctx_";

// An alert that was raised, or cleared.
struct Transition {
  std::string alert_id;  // "<rule>/<device>/<time of sensing at which the condition began>"
  std::string rule;
  std::string severity;
  std::string when;
  bool cleared = false;
};

// Not thread-safe.
class Rules {
 public:
  // Refuses wrong syntax and unknown variables, telling the position.
  static Expected<Rules> Create(const std::vector<RuleOptions>& rules);
  Rules(Rules&&) noexcept;
  ~Rules();

  // Judges what is known of the device as of `sensed_at_ns`. A rule that names a ctx_ variable that
  // the device has no value for does not hold.
  std::vector<Transition> Evaluate(const std::string& device, uint64_t sensed_at_ns,
                                   const Facts& facts);
  // An alert raised before a restart that was not cleared: it is not raised anew.
  void Restore(const std::string& device, const std::string& rule, const std::string& alert_id);
  // The rule has no alert on the device (any more).
  void Forget(const std::string& device, const std::string& rule);

 private:
  struct Impl;
  explicit Rules(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::alerts
