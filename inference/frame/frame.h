// Frames on the unix socket between a sidecar and its module: a length (u32, little-endian), then
// that many bytes, a protobuf ModuleRequest or ModuleResponse.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop::frame {

inline constexpr uint32_t kMaxFrameBytes = 1u << 20;

std::string Encode(std::string_view payload);

// Finds frames in a stream of bytes.
class Decoder {
 public:
  // kCorrupt as soon as a length above kMaxFrameBytes shows; the stream is lost then.
  Status Append(std::string_view bytes);
  // The next whole frame's payload, if it is there.
  std::optional<std::string> Next();

 private:
  Status CheckLength() const;
  std::string buffer_;
};

// Closes what it holds.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Ends blocking calls of other threads for good (an eventfd).
class Interrupt {
 public:
  Interrupt();
  void Set();
  bool IsSet() const;
  int fd() const { return fd_.get(); }

 private:
  FileDescriptor fd_;
};

using Timeout = std::chrono::milliseconds;  // negative: none

// Waits until `fd` can be read. kTimeout, or kCancelled when interrupted.
Status WaitReadable(int fd, const Interrupt& interrupt, Timeout timeout);

// A connected stream socket that speaks frames. One thread at a time.
class Connection {
 public:
  explicit Connection(FileDescriptor socket);
  // kInvalidArgument when the payload is too large, kUnavailable when the peer has gone.
  Status Write(std::string_view payload, const Interrupt& interrupt, Timeout timeout);
  Expected<std::string> Read(const Interrupt& interrupt, Timeout timeout);

 private:
  FileDescriptor socket_;
  Decoder decoder_;
};

Expected<Connection> Connect(const std::string& socket_path);

// Listens on `socket_path` (mode 0600). A socket file that nobody listens on any more is replaced.
class Listener {
 public:
  static Expected<Listener> Create(const std::string& socket_path);
  Listener(Listener&&) = default;
  ~Listener();  // removes the socket file
  // Refuses peers that are neither our own user nor root.
  Expected<Connection> Accept(const Interrupt& interrupt, Timeout timeout);

 private:
  Listener(FileDescriptor socket, std::string path)
      : socket_(std::move(socket)), path_(std::move(path)) {}
  FileDescriptor socket_;
  std::string path_;
};

}  // namespace edgeloop::frame
