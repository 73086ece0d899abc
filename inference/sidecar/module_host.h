// The sidecar's side of the socket: waits for a module (and starts it, when told how), asks it, and
// lets go of one that answers late or wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "inference/frame/frame.h"
#include "runtime/process/child.h"

namespace edgeloop::v1 {
class ModuleRequest;
class ModuleResponse;
}  // namespace edgeloop::v1

namespace edgeloop::sidecar {

// One thread at a time.
class ModuleHost {
 public:
  struct Options {
    std::string socket;
    std::vector<std::string> command;  // empty: the module is started by someone else
    frame::Timeout answer_timeout{2'000};
    frame::Timeout first_restart{500};  // back-off between two starts, doubled up to the longest
    frame::Timeout longest_restart{30'000};
  };
  static Expected<std::unique_ptr<ModuleHost>> Create(Options options);

  bool connected() const { return connection_.has_value(); }
  // Starts the module when it is ours and does not run, and waits up to `timeout` for one to
  // connect. kTimeout, kCancelled, or why it could not be started.
  Status WaitForModule(const frame::Interrupt& interrupt, frame::Timeout timeout);
  // kUnavailable when none is connected. After any error here the connection is closed.
  Expected<v1::ModuleResponse> Ask(const v1::ModuleRequest& request,
                                   const frame::Interrupt& interrupt);
  void StopModule();

 private:
  ModuleHost(Options options, frame::Listener listener);
  Status KeepRunning();

  const Options options_;
  frame::Listener listener_;
  std::optional<frame::Connection> connection_;
  std::optional<process::Child> child_;
  std::chrono::steady_clock::time_point next_start_;
  frame::Timeout back_off_;
};

}  // namespace edgeloop::sidecar
