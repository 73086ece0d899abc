// A child process: started, watched, stopped. Used by the supervisor and by tests.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::process {

class Child {
 public:
  struct Options {
    std::vector<std::string> command;  // command[0] is a path or looked up in PATH
    std::vector<std::pair<std::string, std::string>> environment;  // added to ours
    std::string output_path;  // standard output and error are appended here; empty: ours
    std::string working_directory;
    // PR_SET_PDEATHSIG: killed when the *thread* that started it ends, so start from a lasting one.
    bool die_with_parent = true;
  };
  static Expected<Child> Start(const Options& options);
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();  // kills (SIGKILL) and reaps what still runs

  pid_t pid() const { return pid_; }
  // Exit status as of waitpid() once it has ended; does not block.
  std::optional<int> Poll();
  std::optional<int> WaitFor(std::chrono::milliseconds timeout);
  void Signal(int signal);
  // SIGTERM, then SIGKILL after `grace`.
  int Stop(std::chrono::milliseconds grace);

 private:
  Child() = default;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// A free TCP port on the loopback interface, for programs that cannot choose one themselves.
Expected<int> FreePort();

// Resident set of a process in bytes and its CPU time in seconds, from /proc.
struct Usage {
  uint64_t resident_bytes = 0;
  double cpu_seconds = 0;
};
Expected<Usage> UsageOf(pid_t pid);

}  // namespace edgeloop::process
