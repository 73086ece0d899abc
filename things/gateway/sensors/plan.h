// Which recordings show the operating points of a demonstration: a baseline, then changes of
// load or speed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "things/gateway/sensors/recordings.h"

namespace edgeloop::sensors {

struct Stage {
  std::string name;       // "baseline", "change 1", ...
  Conditions conditions;  // what was asked: of the baseline all, of a change its own keys
  std::vector<Recording> healthy;
  std::vector<Recording> faulty;  // may be empty for a change
};

struct Plan {
  std::vector<Stage> stages;  // the baseline first
};

// `baseline` and `changes` empty: worked out from the recordings. The baseline is the operating
// point with the most faulty recordings (ties: the smallest values). Then, for each column that
// varies, in the order of the index, one change to the next value above the baseline that has
// healthy recordings, else to the next below.
//
// Change 1 is the baseline overridden with its keys. A later change takes the recordings that match
// its keys and whose every other condition has a value already in operation: after
// speed_rpm=2400 on top of 1800, extra_load_lb=11 is shown at 1800 and at 2400 rpm.
Expected<Plan> PlanConditions(const Catalogue& catalogue, const Conditions& baseline,
                              const std::vector<Conditions>& changes);

// "speed_rpm=1800,extra_load_lb=0", as given on a command line.
Expected<Conditions> ParseConditions(std::string_view text);

}  // namespace edgeloop::sensors
