#include "runtime/process/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/log/log.h"

namespace edgeloop::process {
namespace {

std::unexpected<Error> FailErrno(const std::string& path, int reason) {
  auto code = ErrorCode::kUnavailable;
  if (reason == ENOENT) code = ErrorCode::kNotFound;
  if (reason == EACCES || reason == EPERM) code = ErrorCode::kPermissionDenied;
  if (reason == ENOSPC || reason == EDQUOT) code = ErrorCode::kResourceExhausted;
  return Fail(code, path + ": " + std::strerror(reason));
}

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// 0, or errno.
int WriteAndSync(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) content.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

void ReadCommon(config::Reader& reader, CommonOptions* options) {
  reader.Section("tls", [&](config::Reader& tls) {
    tls.Required("ca", &options->tls.ca);
    tls.Required("cert", &options->tls.cert);
    tls.Required("key", &options->tls.key);
  });
  reader.Section("health", [&](config::Reader& health) {
    health.Optional("host", &options->health_host);
    health.Optional("port", &options->health_port, {.min = 0, .max = 65535});
  });
  reader.Section("log", [&](config::Reader& log) {
    log.Choice("level", &options->log_level, {"debug", "info", "warning", "error"});
    log.Choice("format", &options->log_format, {"text", "json"});
  });
  reader.Optional("port_file", &options->port_file);
}

void InitLog(std::string_view name, const CommonOptions& options) {
  auto level = log::Level::kInfo;
  if (options.log_level == "debug") level = log::Level::kDebug;
  if (options.log_level == "warning") level = log::Level::kWarning;
  if (options.log_level == "error") level = log::Level::kError;
  log::Init(name, level, options.log_format == "json" ? log::Format::kJson : log::Format::kText);
}

void BlockStopSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void WaitForStop() {
  const sigset_t set = StopSignals();
  int received = 0;
  while (sigwait(&set, &received) != 0) {
  }
}

void RequestStop() { kill(getpid(), SIGTERM); }

Status WriteFileAtomically(const std::string& path, std::string_view content, int mode) {
  // Unique among threads and processes that write the same file.
  static std::atomic<unsigned> counter = 0;
  const std::string temporary =
      path + ".tmp." + std::to_string(getpid()) + "." + std::to_string(counter++);
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode));
  if (fd < 0) return FailErrno(temporary, errno);
  int reason = WriteAndSync(fd, content);
  ::close(fd);
  if (reason == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) reason = errno;
  if (reason != 0) {
    ::unlink(temporary.c_str());
    return FailErrno(path, reason);
  }
  const size_t slash = path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
  const int directory_fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_fd < 0) return FailErrno(directory, errno);
  reason = ::fsync(directory_fd) == 0 ? 0 : errno;
  ::close(directory_fd);
  if (reason != 0) return FailErrno(directory, reason);
  return {};
}

Expected<std::string> ReadWholeFile(const std::string& path, size_t max_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno(path, errno);
  std::string content;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && info.st_size > 0) {
    content.reserve(std::min(static_cast<size_t>(info.st_size), max_bytes) + 1);
  }
  int reason = 0;
  char block[16 * 1024];
  while (content.size() <= max_bytes) {
    const ssize_t length = ::read(fd, block, sizeof block);
    if (length == 0) break;
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) {
      reason = errno;
      break;
    }
    content.append(block, static_cast<size_t>(length));
  }
  ::close(fd);
  if (reason != 0) return FailErrno(path, reason);
  if (content.size() > max_bytes) {
    return Fail(ErrorCode::kResourceExhausted,
                path + ": larger than the limit of " + std::to_string(max_bytes) + " bytes");
  }
  return content;
}

Status AnnouncePorts(const CommonOptions& options, int listen_port, int health_port) {
  if (options.port_file.empty()) return {};
  const std::string content = "{\"listen\":" + std::to_string(listen_port) +
                              ",\"health\":" + std::to_string(health_port) + "}\n";
  auto status = WriteFileAtomically(options.port_file, content);
  if (!status) return Fail(status.error(), "port_file");
  return {};
}

}  // namespace edgeloop::process
