#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/site/layout.h"

namespace edgeloop::commands {
namespace {

// Stopping is bounded by the supervisor: at most a grace period a process.
constexpr int kStopWithinMs = 90'000;

int Run(const Common& common) {
  const auto holder = site::LockHolder(site::Layout(common.state_dir));
  if (!holder) return Report(holder.error(), common.json);
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, *holder, 0));
  const bool asked = fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0) == 0;
  pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
  const bool ended = asked && poll(&wait, 1, kStopWithinMs) == 1;
  if (fd >= 0) close(fd);
  if (!ended) {
    return Report(
        Error(asked ? ErrorCode::kTimeout : ErrorCode::kPermissionDenied,
              "process " + std::to_string(*holder) +
                  (asked ? " does not stop: see its log below " + common.state_dir + "/log"
                         : " cannot be signalled: stop it as the user who started it")),
        common.json);
  }
  if (common.json) {
    std::printf("{\"stopped\": %d}\n", *holder);
  } else {
    std::printf("stopped\n");
  }
  return 0;
}

}  // namespace

void AddDown(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("down", "Stop what `edgeloop up` started");
  auto common = std::make_shared<Common>();
  AddCommon(*command, common.get());
  command->footer("Example:\n  edgeloop down --state /var/lib/edgeloop");
  command->callback([common, action] { *action = [common] { return Run(*common); }; });
}

}  // namespace edgeloop::commands
