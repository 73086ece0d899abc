#include "inference/alerts/rules.h"

#include <muParser.h>

#include <algorithm>
#include <set>

namespace edgeloop::alerts {
namespace {

constexpr std::string_view kVariables[] = {"l1_score", "l1_alarm_fraction", "l1_trip",
                                           "l2_score", "data_age_ms",       "criticality"};

bool IsKnown(std::string_view variable) {
  if (variable.starts_with(kContextPrefix) && variable.size() > kContextPrefix.size()) return true;
  return std::find(std::begin(kVariables), std::end(kVariables), variable) != std::end(kVariables);
}

std::string KnownVariables() {
  std::string names;
  for (std::string_view name : kVariables) names += std::string(name) + ", ";
  return names + "ctx_<name of a context value>";
}

// Position of `name` as a word of its own.
size_t FindWord(std::string_view text, std::string_view name) {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !word(text[at - 1])) && (end == text.size() || !word(text[end]))) return at;
  }
  return 0;
}

// muParser takes "=" for an assignment, which is never meant here.
size_t FindAssignment(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') continue;
    if (i + 1 < text.size() && text[i + 1] == '=') {
      ++i;
    } else if (i == 0 || std::string_view("<>!").find(text[i - 1]) == std::string_view::npos) {
      return i;
    }
  }
  return text.npos;
}

class Condition {
 public:
  explicit Condition(const std::string& when) : when_(when) {}

  // Separate from construction: the parser keeps pointers to the slots.
  Status Compile() {
    if (when_.size() > kMaxExpressionLength) {
      return Fail(ErrorCode::kInvalidArgument,
                  "longer than " + std::to_string(kMaxExpressionLength) + " characters");
    }
    if (const size_t at = FindAssignment(when_); at != when_.npos) {
      return At(at, "'=' compares nothing; write '=='");
    }
    try {
      parser_.SetExpr(when_);
      for (const auto& item : parser_.GetUsedVar()) {
        if (!IsKnown(item.first)) {
          return At(FindWord(when_, item.first),
                    "unknown variable '" + item.first + "'; known are " + KnownVariables());
        }
        slots_[item.first] = 0;
      }
      for (auto& [name, slot] : slots_) parser_.DefineVar(name, &slot);
      int count = 0;
      parser_.Eval(count);
      if (count != 1) return At(0, "must be one expression");
    } catch (const mu::Parser::exception_type& error) {
      return At(static_cast<size_t>(std::max(0, static_cast<int>(error.GetPos()))), error.GetMsg());
    }
    return {};
  }

  bool Holds(const Facts& facts) {
    for (auto& [name, slot] : slots_) {
      if (name.starts_with(kContextPrefix)) {
        const auto found = facts.context.find(name.substr(kContextPrefix.size()));
        if (found == facts.context.end()) return false;
        slot = found->second;
      } else {
        slot = Value(facts, name);
      }
    }
    try {
      const double value = parser_.Eval();
      return value == value && value != 0;
    } catch (const mu::Parser::exception_type&) {
      return false;  // e.g. a division that muParser refuses
    }
  }

 private:
  static double Value(const Facts& facts, std::string_view name) {
    if (name == "l1_score") return facts.l1_score;
    if (name == "l1_alarm_fraction") return facts.l1_alarm_fraction;
    if (name == "l1_trip") return facts.l1_trip;
    if (name == "l2_score") return facts.l2_score;
    if (name == "data_age_ms") return facts.data_age_ms;
    return facts.criticality;
  }
  Status At(size_t position, const std::string& message) const {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + when_.substr(0, 200) + "' at character " +
                    std::to_string(std::min(position, when_.size()) + 1) + ": " + message);
  }

  const std::string when_;
  mu::Parser parser_;
  std::map<std::string, double> slots_;  // stable addresses
};

// What a rule knows about a device.
struct State {
  std::string alert_id;   // not empty: raised
  uint64_t since_ns = 0;  // the condition has been as it is since
  bool holding = false;
};

}  // namespace

struct Rules::Impl {
  struct Rule {
    RuleOptions options;
    std::unique_ptr<Condition> condition;
    std::map<std::string, State> devices;
  };
  std::vector<Rule> rules;
};

RuleOptions DefaultRule() {
  return {.name = "bearing-or-shaft-fault",
          .when = "l1_alarm_fraction > 0.5 && l2_score > 0.6 && criticality >= 0.3",
          .severity = "critical"};
}

Rules::Rules(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Rules::Rules(Rules&&) noexcept = default;
Rules::~Rules() = default;

Expected<Rules> Rules::Create(const std::vector<RuleOptions>& options) {
  if (options.size() > kMaxRules) {
    return Fail(ErrorCode::kInvalidArgument, "more than " + std::to_string(kMaxRules) + " rules");
  }
  auto impl = std::make_unique<Impl>();
  std::set<std::string> names;
  for (const RuleOptions& rule : options) {
    const std::string where = "rule '" + rule.name + "'";
    if (!names.insert(rule.name).second) {
      return Fail(ErrorCode::kInvalidArgument, where + ": there are two of this name");
    }
    auto condition = std::make_unique<Condition>(rule.when);
    if (Status status = condition->Compile(); !status) return Fail(status.error(), where);
    impl->rules.push_back({rule, std::move(condition), {}});
  }
  return Rules(std::move(impl));
}

std::vector<Transition> Rules::Evaluate(const std::string& device, uint64_t sensed_at_ns,
                                        const Facts& facts) {
  std::vector<Transition> transitions;
  for (Impl::Rule& rule : impl_->rules) {
    const bool holds = rule.condition->Holds(facts);
    auto [entry, is_new] = rule.devices.try_emplace(device);
    State& state = entry->second;
    if (is_new || holds != state.holding || sensed_at_ns < state.since_ns) {
      state.holding = holds;
      state.since_ns = sensed_at_ns;
    }
    const uint64_t lasted_ms = (sensed_at_ns - state.since_ns) / 1'000'000;
    const bool raised = !state.alert_id.empty();
    if (holds == raised) continue;
    if (lasted_ms < (holds ? rule.options.hold_ms : rule.options.clear_ms)) continue;
    if (holds) {
      state.alert_id = rule.options.name + "/" + device + "/" + std::to_string(state.since_ns);
    }
    transitions.push_back(
        {state.alert_id, rule.options.name, rule.options.severity, rule.options.when, !holds});
    if (!holds) state.alert_id.clear();
  }
  return transitions;
}

void Rules::Restore(const std::string& device, const std::string& name,
                    const std::string& alert_id) {
  for (Impl::Rule& rule : impl_->rules) {
    if (rule.options.name == name) rule.devices[device] = {alert_id, 0, true};
  }
}

void Rules::Forget(const std::string& device, const std::string& name) {
  for (Impl::Rule& rule : impl_->rules) {
    if (rule.options.name == name) rule.devices.erase(device);
  }
}

}  // namespace edgeloop::alerts
