// `edgeloop demo`: the platform in a directory of its own, the story, the summary.
#pragma once

#include <string>

#include "cli/demo/scenario.h"

namespace edgeloop::demo {

struct RunOptions {
  ScenarioOptions scenario;
  std::string json_path;  // empty: no file
  bool keep = false;      // the state directory
  bool terminal = false;  // standard output is one
};

// The exit code: 0 when all of the story was seen, 2 for options that do not fit, else 1.
int Run(const RunOptions& options);

}  // namespace edgeloop::demo
