// STATE/run/status.json: what `edgeloop up` says about its processes, for the other commands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/site/layout.h"
#include "cli/supervisor/supervisor.h"
#include "contracts/error/error.h"

namespace edgeloop::site {

struct StatusFile {
  int up_pid = -1;
  int64_t started_at_ms = 0;  // Unix time
  std::vector<std::string> gateways;
  struct Process {
    std::string name;
    int pid = -1;
    std::string state;
    uint64_t restarts = 0;
    int64_t started_at_ms = 0;
    std::string detail;
  };
  std::vector<Process> processes;  // in the order of their start
};

Status WriteStatusFile(const Layout& layout, int64_t started_at_ms,
                       const std::vector<std::string>& gateways,
                       const std::vector<supervisor::ProcessState>& states);

// Of a live `edgeloop up`; kNotFound when none holds the state directory.
Expected<StatusFile> ReadStatusFile(const Layout& layout);

// Waits for children of an `edgeloop up` that was killed to be gone (they die with it), and ends
// what is left of them. Only by the holder of the state lock.
void EndLeftovers(const Layout& layout);

}  // namespace edgeloop::site
