#include "things/gateway/actuate/actuator.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

namespace edgeloop::gateway {
namespace {

std::unexpected<Error> FailErrno(const std::string& what) {
  const int error = errno;
  return Fail(ErrorCode::kUnavailable, what + ": " + std::strerror(error));
}

Status WriteTo(const std::string& path, int flags, std::string_view text) {
  const int fd = ::open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return FailErrno("open " + path);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  if (written != static_cast<ssize_t>(text.size())) return FailErrno("write " + path);
  return {};
}

class SimulatedActuator final : public Actuator {
 public:
  Status SetOpen(bool) override { return {}; }
};

class FileActuator final : public Actuator {
 public:
  explicit FileActuator(std::string path) : path_(std::move(path)) {}

  Status SetOpen(bool open) override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    const std::string temporary = path_ + ".tmp";
    if (Status status = WriteTo(temporary, O_CREAT | O_TRUNC,
                                (open ? "1 " : "0 ") + std::to_string(now_ns) + "\n");
        !status) {
      return status;
    }
    if (std::rename(temporary.c_str(), path_.c_str()) != 0) return FailErrno("rename " + temporary);
    return {};
  }

 private:
  std::string path_;
};

class GpioActuator final : public Actuator {
 public:
  GpioActuator(int value_fd, std::string path) : value_fd_(value_fd), path_(std::move(path)) {}
  ~GpioActuator() override { ::close(value_fd_); }

  // The file stays open: one system call between the decision and the pin.
  Status SetOpen(bool open) override {
    if (::pwrite(value_fd_, open ? "0" : "1", 1, 0) != 1) return FailErrno("write " + path_);
    return {};
  }

 private:
  const int value_fd_;
  const std::string path_;
};

Expected<std::unique_ptr<Actuator>> CreateGpio(const std::string& line) {
  // "high" makes the line an output that is energised from the first moment: no dip at a restart.
  if (Status status = WriteTo(line + "/direction", 0, "high"); !status) {
    return Fail(status.error(), "gpio actuator (is the line exported?)");
  }
  const std::string value = line + "/value";
  const int fd = ::open(value.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open " + value);
  return std::make_unique<GpioActuator>(fd, value);
}

}  // namespace

Expected<std::unique_ptr<Actuator>> CreateActuator(const ActuatorOptions& options) {
  if (options.type == "simulated") return std::make_unique<SimulatedActuator>();
  if (options.path.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "actuator of type " + options.type + " needs a path");
  }
  if (options.type == "file") return std::make_unique<FileActuator>(options.path);
  if (options.type == "gpio") return CreateGpio(options.path);
  return Fail(ErrorCode::kInvalidArgument,
              "actuator type '" + options.type + "' is none of simulated, file, gpio");
}

}  // namespace edgeloop::gateway
