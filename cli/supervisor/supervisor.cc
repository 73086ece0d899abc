#include "cli/supervisor/supervisor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>
#include <ranges>
#include <thread>

#include "runtime/process/child.h"

namespace edgeloop::supervisor {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstProbe{20};
constexpr milliseconds kSlowestProbe{250};
constexpr milliseconds kLogCheck{30'000};
constexpr int kLogLinesInErrors = 5;

int64_t UnixMilliseconds() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string HowEnded(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return std::string("killed by SIG") + (name ? name : "?");
  }
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

const char* StateName(State state) {
  switch (state) {
    case State::kWaiting:
      return "waiting";
    case State::kStarting:
      return "starting";
    case State::kReady:
      return "running";
    case State::kBackingOff:
      return "restarting";
    case State::kFailing:
      return "failing";
    case State::kStopped:
      return "stopped";
  }
  return "?";
}

struct Supervisor::Impl {
  struct Process {
    ProcessSpec spec;
    ProcessState state;
    BackOff back_off;
    std::optional<process::Child> child;
    int pid_fd = -1;
    Clock::time_point started;
    Clock::time_point start_at;  // when there is no child
    Clock::time_point probe_at;  // while starting
    milliseconds probe_wait = kFirstProbe;
  };

  explicit Impl(Options o) : options(std::move(o)) {}

  Options options;
  int wake_fd = -1;
  std::thread thread;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<ProcessSpec> to_add;                  // guarded by mutex
  std::vector<ProcessState> states;                 // guarded by mutex: what Snapshot() shows
  bool stopping = false;                            // guarded by mutex
  std::vector<std::unique_ptr<Process>> processes;  // the thread's own

  void Wake() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_fd, &one, sizeof one);
  }

  // Makes the processes' states visible.
  void Publish() {
    std::vector<ProcessState> now;
    for (const auto& process : processes) now.push_back(process->state);
    {
      std::lock_guard lock(mutex);
      states = now;
    }
    if (options.on_change) options.on_change(now);
    changed.notify_all();
  }

  void Launch(Process& process) {
    RotateLog(process.spec.log_path, options.max_log_bytes);
    auto child = process::Child::Start(
        {.command = process.spec.command, .output_path = process.spec.log_path});
    process.started = Clock::now();
    if (!child) {
      Ended(process, child.error().message());
      return;
    }
    process.child.emplace(std::move(*child));
    process.pid_fd = static_cast<int>(syscall(SYS_pidfd_open, process.child->pid(), 0));
    process.state.pid = process.child->pid();
    process.state.state = State::kStarting;
    process.state.started_at_ms = UnixMilliseconds();
    process.probe_wait = kFirstProbe;
    process.probe_at = process.started + kFirstProbe;
  }

  void Ended(Process& process, std::string how) {
    if (process.pid_fd >= 0) close(process.pid_fd);
    process.pid_fd = -1;
    process.child.reset();
    const auto now = Clock::now();
    const milliseconds wait =
        process.back_off.Died(std::chrono::duration_cast<milliseconds>(now - process.started));
    process.start_at = now + wait;
    process.state.pid = -1;
    ++process.state.restarts;
    process.state.state = process.back_off.failing() ? State::kFailing : State::kBackingOff;
    process.state.detail = std::move(how) + ", next start in " + std::to_string(wait.count()) +
                           " ms (death " + std::to_string(process.back_off.deaths_in_row()) +
                           " in a row)";
  }

  // Does what is due for one process; true when its state changed. `*wake` is lowered to when it
  // needs attention next.
  bool Attend(Process& process, Clock::time_point* wake) {
    bool touched = false;
    if (process.child) {
      if (const auto status = process.child->Poll()) {
        Ended(process, HowEnded(*status));
        touched = true;
      }
    }
    if (!process.child && Clock::now() >= process.start_at) {
      Launch(process);
      touched = true;
    }
    if (!process.child) {
      *wake = std::min(*wake, process.start_at);
      return touched;
    }
    if (process.state.state == State::kReady) return touched;
    if (Clock::now() >= process.probe_at) {
      const Status ready = process.spec.ready ? process.spec.ready() : Status();
      // The process may have died while we asked: then something else answered, or nothing.
      if (ready) {
        process.state.state = State::kReady;
        process.state.detail.clear();
        return true;
      }
      touched |= process.state.detail != ready.error().message();
      process.state.detail = ready.error().message();
      process.probe_wait = std::min(process.probe_wait * 2, kSlowestProbe);
      process.probe_at = Clock::now() + process.probe_wait;
    }
    *wake = std::min(*wake, process.probe_at);
    return touched;
  }

  void Sleep(Clock::time_point until) {
    std::vector<pollfd> waits = {{.fd = wake_fd, .events = POLLIN, .revents = 0}};
    for (const auto& process : processes) {
      if (process->pid_fd >= 0)
        waits.push_back({.fd = process->pid_fd, .events = POLLIN, .revents = 0});
    }
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    poll(waits.data(), waits.size(), static_cast<int>(std::max<int64_t>(0, left.count())));
    uint64_t drained;
    if (waits[0].revents & POLLIN) {
      [[maybe_unused]] const ssize_t n = read(wake_fd, &drained, sizeof drained);
    }
  }

  void Run() {
    auto logs_at = Clock::now() + kLogCheck;
    while (true) {
      bool touched = false;
      {
        std::lock_guard lock(mutex);
        if (stopping) break;
        for (ProcessSpec& spec : to_add) {
          auto process = std::make_unique<Process>(
              Process{.spec = std::move(spec), .state = {}, .back_off = BackOff(options.back_off)});
          process->state.name = process->spec.name;
          processes.push_back(std::move(process));
          touched = true;
        }
        to_add.clear();
      }
      auto wake = logs_at;
      for (const auto& process : processes) touched |= Attend(*process, &wake);
      if (touched) Publish();
      if (Clock::now() >= logs_at) {
        for (const auto& process : processes) {
          RotateLog(process->spec.log_path, options.max_log_bytes);
        }
        logs_at = Clock::now() + kLogCheck;
      }
      Sleep(wake);
    }
    for (const auto& process : processes | std::views::reverse) {
      if (process->child) process->child->Stop(options.stop_grace);
      if (process->pid_fd >= 0) close(process->pid_fd);
      process->pid_fd = -1;
      process->child.reset();
      process->state.pid = -1;
      process->state.state = State::kStopped;
      process->state.detail.clear();
      Publish();
    }
  }
};

Expected<std::unique_ptr<Supervisor>> Supervisor::Create(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  impl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl->wake_fd < 0) {
    return Fail(ErrorCode::kInternal, std::string("eventfd: ") + std::strerror(errno));
  }
  // Children die with the thread that started them (PR_SET_PDEATHSIG): it must live as long as
  // they.
  impl->thread = std::thread([i = impl.get()] { i->Run(); });
  return std::unique_ptr<Supervisor>(new Supervisor(std::move(impl)));
}

Supervisor::Supervisor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Supervisor::~Supervisor() {
  Stop();
  close(impl_->wake_fd);
}

Status Supervisor::Start(ProcessSpec spec, std::chrono::milliseconds ready_within) {
  const std::string name = spec.name;
  const std::string log_path = spec.log_path;
  std::unique_lock lock(impl_->mutex);
  if (impl_->stopping) return Fail(ErrorCode::kCancelled, name + ": the supervisor is stopping");
  impl_->to_add.push_back(std::move(spec));
  impl_->Wake();
  const auto state = [&]() -> const ProcessState* {
    const auto it = std::ranges::find(impl_->states, name, &ProcessState::name);
    return it == impl_->states.end() ? nullptr : &*it;
  };
  const auto settled = [&] {
    const ProcessState* now = state();
    return impl_->stopping ||
           (now && (now->state == State::kReady || now->state == State::kFailing));
  };
  const bool in_time = impl_->changed.wait_for(lock, ready_within, settled);
  if (impl_->stopping) return Fail(ErrorCode::kCancelled, name + ": stopped while starting");
  const ProcessState* now = state();
  if (now && now->state == State::kReady) return {};
  const std::string why = now ? now->detail : "not started";
  const std::string log =
      "\n  the end of " + log_path + ":\n" + LastLines(log_path, kLogLinesInErrors);
  if (in_time) return Fail(ErrorCode::kUnavailable, name + " keeps dying: " + why + log);
  return Fail(ErrorCode::kTimeout,
              name + " is not ready after " +
                  std::to_string(std::chrono::ceil<std::chrono::seconds>(ready_within).count()) +
                  " s: " + why + log);
}

void Supervisor::Stop() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  impl_->Wake();
  if (impl_->thread.joinable()) impl_->thread.join();
}

std::vector<ProcessState> Supervisor::Snapshot() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->states;
}

}  // namespace edgeloop::supervisor
