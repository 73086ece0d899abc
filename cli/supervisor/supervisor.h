// Keeps processes running: started in order, each waited for until it is ready, restarted with
// exponential back-off when it dies, stopped in reverse order.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/supervisor/back_off.h"
#include "contracts/error/error.h"

namespace edgeloop::supervisor {

struct ProcessSpec {
  std::string name;
  std::vector<std::string> command;
  std::string log_path;           // standard output and error are appended
  std::function<Status()> ready;  // asked from the supervisor's thread; must return within seconds
};

enum class State { kWaiting, kStarting, kReady, kBackingOff, kFailing, kStopped };
const char* StateName(State state);

struct ProcessState {
  std::string name;
  int pid = -1;  // -1: not running
  State state = State::kWaiting;
  uint64_t restarts = 0;
  int64_t started_at_ms = 0;  // Unix time
  std::string detail;         // why it is not ready, or how it last ended
};

class Supervisor {
 public:
  struct Options {
    BackOff::Options back_off;
    std::chrono::milliseconds stop_grace{5'000};  // SIGTERM, then SIGKILL
    uint64_t max_log_bytes = 16u << 20;  // then kept as <log>.1, one generation, and begun anew
    // After each change of any process; on the supervisor's thread.
    std::function<void(const std::vector<ProcessState>&)> on_change;
  };

  static Expected<std::unique_ptr<Supervisor>> Create(Options options);
  ~Supervisor();  // stops everything

  // Starts the process and waits until it is ready. On kTimeout (not ready by then) or kUnavailable
  // (it keeps dying) the process goes on being supervised; the message carries its last log lines.
  Status Start(ProcessSpec spec, std::chrono::milliseconds ready_within);

  // SIGTERM in reverse order, each process waited for. No process is started afterwards.
  void Stop();

  std::vector<ProcessState> Snapshot() const;

 private:
  struct Impl;
  explicit Supervisor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Keeps a log file below `max_bytes`: copied to <path>.1 and emptied, so that a process that has it
// open goes on appending. True when it did so.
bool RotateLog(const std::string& path, uint64_t max_bytes);

// The last lines of a file, for error messages.
std::string LastLines(const std::string& path, int lines);

}  // namespace edgeloop::supervisor
