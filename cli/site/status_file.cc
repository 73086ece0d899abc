#include "cli/site/status_file.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "runtime/process/daemon.h"

namespace edgeloop::site {
namespace {

constexpr size_t kMaxStatusBytes = 1 << 20;
constexpr int kLeftoverGraceMs = 3'000;

Expected<StatusFile> Parse(const Layout& layout) {
  auto text = process::ReadWholeFile(layout.StatusFile(), kMaxStatusBytes);
  if (!text) return Fail(text.error());
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  StatusFile file;
  try {
    file.up_pid = json.at("up_pid").get<int>();
    file.started_at_ms = json.at("started_at_ms").get<int64_t>();
    file.gateways = json.at("gateways").get<std::vector<std::string>>();
    for (const auto& entry : json.at("processes")) {
      file.processes.push_back({.name = entry.at("name").get<std::string>(),
                                .pid = entry.at("pid").get<int>(),
                                .state = entry.at("state").get<std::string>(),
                                .restarts = entry.at("restarts").get<uint64_t>(),
                                .started_at_ms = entry.at("started_at_ms").get<int64_t>(),
                                .detail = entry.at("detail").get<std::string>()});
    }
  } catch (const nlohmann::json::exception& e) {
    return Fail(ErrorCode::kCorrupt, layout.StatusFile() + ": " + e.what() +
                                         "; `edgeloop down` and `edgeloop up` write it anew");
  }
  return file;
}

bool BelongsTo(int pid, const std::string& root) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
  const std::string command{std::istreambuf_iterator<char>(file), {}};
  return command.find(root + "/") != std::string::npos;
}

}  // namespace

Status WriteStatusFile(const Layout& layout, int64_t started_at_ms,
                       const std::vector<std::string>& gateways,
                       const std::vector<supervisor::ProcessState>& states) {
  nlohmann::json processes = nlohmann::json::array();
  for (const auto& state : states) {
    processes.push_back({{"name", state.name},
                         {"pid", state.pid},
                         {"state", supervisor::StateName(state.state)},
                         {"restarts", state.restarts},
                         {"started_at_ms", state.started_at_ms},
                         {"detail", state.detail}});
  }
  const nlohmann::json json = {{"up_pid", getpid()},
                               {"started_at_ms", started_at_ms},
                               {"gateways", gateways},
                               {"processes", processes}};
  return process::WriteFileAtomically(
      layout.StatusFile(),
      json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", 0600);
}

Expected<StatusFile> ReadStatusFile(const Layout& layout) {
  auto holder = LockHolder(layout);
  if (!holder) return Fail(holder.error());
  auto file = Parse(layout);
  if (!file || file->up_pid != *holder) {
    return Fail(ErrorCode::kUnavailable,
                "process " + std::to_string(*holder) + " is starting: try again in a moment");
  }
  return file;
}

void EndLeftovers(const Layout& layout) {
  const auto file = Parse(layout);
  if (!file) return;
  for (const auto& process : file->processes) {
    if (process.pid <= 0) continue;
    // The descriptor first, then the check: it goes on naming the process that was checked.
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
    if (fd < 0) continue;
    if (BelongsTo(process.pid, layout.root())) {
      pollfd wait = {.fd = fd, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, kLeftoverGraceMs) == 0) {
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
        poll(&wait, 1, kLeftoverGraceMs);
      }
    }
    close(fd);
  }
}

}  // namespace edgeloop::site
