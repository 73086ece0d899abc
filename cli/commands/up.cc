#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/site/layout.h"
#include "cli/site/options.h"
#include "cli/site/site.h"
#include "runtime/process/daemon.h"

namespace edgeloop::commands {
namespace {

constexpr const char* kDefaultConfig = "edgeloop.yaml";
constexpr size_t kMaxMessage = 16 << 10;

struct UpOptions {
  Common common;
  std::string config;
  bool detach = false;
};

Expected<site::Options> Load(const UpOptions& up) {
  if (!up.config.empty()) return site::LoadOptions(up.config);
  if (std::filesystem::exists(kDefaultConfig)) return site::LoadOptions(kDefaultConfig);
  return site::DefaultOptions();
}

// Starts everything, tells `started` how that went, and supervises until SIGTERM or SIGINT.
int Supervise(const site::Options& options, const std::string& state_dir,
              const site::Site::Progress& progress,
              const std::function<void(const Status&)>& started) {
  process::BlockStopSignals();
  auto running = site::Site::Start(options, state_dir, progress);
  started(running ? Status() : Status(std::unexpected(running.error())));
  if (!running) return running.error().code() == ErrorCode::kInvalidArgument ? 2 : 1;
  process::WaitForStop();
  (*running)->Stop();
  return 0;
}

int Foreground(const UpOptions& up, const site::Options& options) {
  const auto progress = [](const std::string& what) {
    std::printf("starting %s\n", what.c_str());
    std::fflush(stdout);
  };
  int code = 0;
  const int ended = Supervise(options, up.common.state_dir, progress, [&](const Status& started) {
    if (!started) {
      code = Report(started.error());
      return;
    }
    std::printf("everything is running; look with `edgeloop status --state %s`, stop with Ctrl-C\n",
                up.common.state_dir.c_str());
    std::fflush(stdout);
  });
  return code != 0 ? code : ended;
}

// A child of its own session supervises; this process tells how its start went.
int Detached(const UpOptions& up, const site::Options& options) {
  site::Layout layout(up.common.state_dir);
  if (Status made = layout.Create(); !made) return Report(made.error(), up.common.json);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return Report(Error(ErrorCode::kInternal, std::string("pipe: ") + std::strerror(errno)));
  }
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    return Report(Error(ErrorCode::kInternal, std::string("fork: ") + std::strerror(errno)));
  }
  if (child == 0) {
    close(ends[0]);
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    const int log = open(layout.Log("up").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    const int code = Supervise(
        options, layout.root(), [](const std::string&) {},
        [&](const Status& started) {
          const std::string message = started ? "" : started.error().message();
          // The parent may be gone; then there is nobody to tell.
          std::signal(SIGPIPE, SIG_IGN);
          [[maybe_unused]] const ssize_t n = write(ends[1], message.data(), message.size());
          close(ends[1]);
        });
    std::_Exit(code);
  }
  close(ends[1]);
  std::string message;
  char buffer[1024];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    if (message.size() < kMaxMessage) message.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  if (!message.empty()) {
    return Report(Error(ErrorCode::kUnavailable, message), up.common.json);
  }
  if (!site::LockHolder(layout)) {
    return Report(Error(ErrorCode::kInternal, "the supervisor died: see " + layout.Log("up")),
                  up.common.json);
  }
  if (up.common.json) {
    std::printf("{\"pid\": %d}\n", child);
  } else {
    std::printf(
        "running as process %d; look with `edgeloop status --state %s`, stop with "
        "`edgeloop down --state %s`\n",
        child, up.common.state_dir.c_str(), up.common.state_dir.c_str());
  }
  return 0;
}

}  // namespace

void AddUp(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("up", "Start and supervise everything on this machine");
  auto up = std::make_shared<UpOptions>();
  AddCommon(*command, &up->common);
  command
      ->add_option(
          "--config", up->config,
          "What runs here; default: ./edgeloop.yaml when there is one, else four simulated "
          "motors. `edgeloop init` writes a commented one")
      ->type_name("FILE");
  command->add_flag("--detach,-d", up->detach, "Return when everything is ready");
  command->footer(
      "Examples:\n"
      "  edgeloop up                      # Ctrl-C stops everything in reverse order\n"
      "  edgeloop up --detach --state /var/lib/edgeloop --config /etc/edgeloop.yaml");
  command->callback([up, action] {
    *action = [up] {
      auto options = Load(*up);
      if (!options) {
        Report(options.error(), up->common.json);
        return 2;
      }
      return up->detach ? Detached(*up, *options) : Foreground(*up, *options);
    };
  });
}

}  // namespace edgeloop::commands
