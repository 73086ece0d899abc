#include "runtime/process/child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

extern char** environ;

namespace edgeloop::process {
namespace {

// Ours with `added` replacing variables of the same name.
std::vector<std::string> Environment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    bool replaced = false;
    for (const auto& [name, value] : added) {
      replaced = replaced || (text.starts_with(name) && text.substr(name.size()).starts_with('='));
    }
    if (!replaced) variables.emplace_back(text);
  }
  for (const auto& [name, value] : added) variables.push_back(name + "=" + value);
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Prepared {
  char* const* arguments;
  char* const* environment;
  const char* working_directory;  // or nullptr
  int output;                     // file descriptor or -1
  int report;                     // errno goes here when exec fails; closed when it succeeds
  pid_t parent;
  bool die_with_parent;
};

// Between fork and exec: only what is safe after a fork of a process with threads.
[[noreturn]] void BecomeProgram(const Prepared& prepared) {
  if (prepared.die_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != prepared.parent) _exit(127);  // it ended before prctl
  }
  // A process group of its own: Ctrl-C at the terminal is for us, who stop our children in order.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  bool ok = prepared.working_directory == nullptr || chdir(prepared.working_directory) == 0;
  if (prepared.output >= 0) {
    ok = ok && dup2(prepared.output, STDOUT_FILENO) >= 0 &&
         dup2(prepared.output, STDERR_FILENO) >= 0;
  }
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (ok) execvpe(prepared.arguments[0], prepared.arguments, prepared.environment);
  const int reason = errno;
  [[maybe_unused]] const ssize_t written = write(prepared.report, &reason, sizeof reason);
  _exit(127);
}

}  // namespace

Expected<Child> Child::Start(const Options& options) {
  if (options.command.empty()) return Fail(ErrorCode::kInvalidArgument, "no command to start");
  std::vector<std::string> words = options.command;
  std::vector<std::string> variables = Environment(options.environment);
  const std::vector<char*> arguments = Pointers(words);
  const std::vector<char*> environment = Pointers(variables);
  const auto fail = [&](const std::string& what, int reason) {
    return Fail(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                what + ": " + std::strerror(reason));
  };

  int output = -1;
  if (!options.output_path.empty()) {
    output = ::open(options.output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (output < 0) return fail(options.output_path, errno);
  }
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    const int reason = errno;
    if (output >= 0) ::close(output);
    return fail("pipe", reason);
  }
  const Prepared prepared{
      arguments.data(),
      environment.data(),
      options.working_directory.empty() ? nullptr : options.working_directory.c_str(),
      output,
      report[1],
      getpid(),
      options.die_with_parent};
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(prepared);
  int reason = pid < 0 ? errno : 0;
  ::close(report[1]);
  if (output >= 0) ::close(output);
  if (pid > 0) {
    ssize_t length;
    do {
      length = ::read(report[0], &reason, sizeof reason);
    } while (length < 0 && errno == EINTR);
    if (length == sizeof reason) waitpid(pid, nullptr, 0);
  }
  ::close(report[0]);
  if (reason != 0) return fail("cannot start '" + options.command[0] + "'", reason);
  Child child;
  child.pid_ = pid;
  return child;
}

Child::Child(Child&& other) noexcept : pid_(other.pid_), status_(other.status_) { other.pid_ = -1; }

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  return *this;
}

Child::~Child() {
  if (pid_ <= 0 || status_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::optional<int> Child::Poll() {
  if (status_ || pid_ <= 0) return status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_;
}

std::optional<int> Child::WaitFor(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (Poll() || pid_ <= 0) return status_;
  // As a system call: the header of glibc 2.36 lacks the extern "C".
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (fd < 0) return Poll();
  while (!Poll()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    pollfd ended{fd, POLLIN, 0};
    poll(&ended, 1, static_cast<int>(left.count()));
  }
  ::close(fd);
  return status_;
}

void Child::Signal(int signal) {
  // Once reaped, the number may belong to another process.
  if (pid_ > 0 && !Poll()) kill(pid_, signal);
}

int Child::Stop(std::chrono::milliseconds grace) {
  Signal(SIGTERM);
  if (const auto status = WaitFor(grace)) return *status;
  if (pid_ <= 0) return 0;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  status_ = status;
  return status;
}

Expected<int> FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool ok = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (!ok) {
    return Fail(ErrorCode::kUnavailable, std::string("no free port: ") + std::strerror(reason));
  }
  return ntohs(address.sin_port);
}

Expected<Usage> UsageOf(pid_t pid) {
  const std::string directory = "/proc/" + std::to_string(pid);
  std::ifstream memory(directory + "/statm");
  uint64_t pages_virtual = 0;
  uint64_t pages_resident = 0;
  memory >> pages_virtual >> pages_resident;
  std::ifstream stat(directory + "/stat");
  std::string line;
  std::getline(stat, line);
  // The name in parentheses may hold anything; fields 14 and 15 (utime, stime) follow it.
  const size_t name_end = line.rfind(')');
  if (!memory || name_end == std::string::npos) {
    return Fail(ErrorCode::kNotFound, "no process " + std::to_string(pid));
  }
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  Usage usage;
  usage.resident_bytes = pages_resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  usage.cpu_seconds =
      static_cast<double>(user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return usage;
}

}  // namespace edgeloop::process
