#include "inference/frame/frame.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace edgeloop::frame {
namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> FailErrno(ErrorCode code, std::string_view what) {
  return Fail(code, std::string(what) + ": " + std::strerror(errno));
}

// Waits for `events` on `fd` until the deadline.
Status Wait(int fd, short events, const Interrupt& interrupt, Timeout timeout) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    int wait_ms = -1;
    if (timeout.count() >= 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      wait_ms = static_cast<int>(std::max<int64_t>(0, left.count()));
    }
    pollfd polled[2] = {{fd, events, 0}, {interrupt.fd(), POLLIN, 0}};
    const int count = ::poll(polled, 2, wait_ms);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(ErrorCode::kInternal, "poll");
    if (polled[1].revents != 0) return Fail(ErrorCode::kCancelled, "stopping");
    if (polled[0].revents != 0) return {};
    if (count == 0) return Fail(ErrorCode::kTimeout, "the peer did not answer in time");
  }
}

uint32_t LoadLength(const std::string& buffer) {
  uint32_t length = 0;
  for (size_t i = 0; i < 4; ++i) {
    length |= static_cast<uint32_t>(static_cast<uint8_t>(buffer[i])) << (8 * i);
  }
  return length;
}

Expected<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Fail(ErrorCode::kInvalidArgument, "socket '" + path + "': a unix socket's path has 1.." +
                                                 std::to_string(sizeof address.sun_path - 1) +
                                                 " bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Expected<FileDescriptor> NewSocket() {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return FailErrno(ErrorCode::kResourceExhausted, "socket");
  return socket;
}

}  // namespace

std::string Encode(std::string_view payload) {
  std::string frame;
  frame.reserve(4 + payload.size());
  for (size_t i = 0; i < 4; ++i) frame += static_cast<char>(payload.size() >> (8 * i) & 0xFF);
  frame += payload;
  return frame;
}

Status Decoder::CheckLength() const {
  if (buffer_.size() >= 4 && LoadLength(buffer_) > kMaxFrameBytes) {
    return Fail(ErrorCode::kCorrupt, "a frame of " + std::to_string(LoadLength(buffer_)) +
                                         " bytes, more than " + std::to_string(kMaxFrameBytes));
  }
  return {};
}

Status Decoder::Append(std::string_view bytes) {
  buffer_ += bytes;
  return CheckLength();
}

std::optional<std::string> Decoder::Next() {
  if (buffer_.size() < 4 || !CheckLength()) return std::nullopt;
  const size_t length = LoadLength(buffer_);
  if (buffer_.size() - 4 < length) return std::nullopt;
  std::string payload = buffer_.substr(4, length);
  buffer_.erase(0, 4 + length);
  return payload;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Interrupt::Interrupt() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
void Interrupt::Set() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}
bool Interrupt::IsSet() const {
  pollfd polled{fd_.get(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

Status WaitReadable(int fd, const Interrupt& interrupt, Timeout timeout) {
  return Wait(fd, POLLIN, interrupt, timeout);
}

Connection::Connection(FileDescriptor socket) : socket_(std::move(socket)) {}

Status Connection::Write(std::string_view payload, const Interrupt& interrupt, Timeout timeout) {
  if (payload.size() > kMaxFrameBytes) {
    return Fail(ErrorCode::kInvalidArgument, "a frame of " + std::to_string(payload.size()) +
                                                 " bytes, more than " +
                                                 std::to_string(kMaxFrameBytes));
  }
  const std::string encoded = Encode(payload);
  std::string_view rest = encoded;
  const auto deadline = Clock::now() + timeout;
  while (!rest.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      rest.remove_prefix(static_cast<size_t>(sent));
    } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      const auto left =
          timeout.count() < 0
              ? timeout
              : std::max(Timeout(0), std::chrono::duration_cast<Timeout>(deadline - Clock::now()));
      if (Status status = Wait(socket_.get(), POLLOUT, interrupt, left); !status) return status;
    } else if (sent < 0 && errno != EINTR) {
      return FailErrno(ErrorCode::kUnavailable, "the peer has gone");
    }
  }
  return {};
}

Expected<std::string> Connection::Read(const Interrupt& interrupt, Timeout timeout) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    if (auto payload = decoder_.Next()) return std::move(*payload);
    const auto left =
        timeout.count() < 0
            ? timeout
            : std::max(Timeout(0), std::chrono::duration_cast<Timeout>(deadline - Clock::now()));
    if (Status status = Wait(socket_.get(), POLLIN, interrupt, left); !status) {
      return Fail(status.error());
    }
    char block[16 * 1024];
    const ssize_t length = ::recv(socket_.get(), block, sizeof block, MSG_DONTWAIT);
    if (length == 0) return Fail(ErrorCode::kUnavailable, "the peer has closed the connection");
    if (length < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    if (length < 0) return FailErrno(ErrorCode::kUnavailable, "the peer has gone");
    if (Status status = decoder_.Append({block, static_cast<size_t>(length)}); !status) {
      return Fail(status.error());
    }
  }
}

Expected<Connection> Connect(const std::string& socket_path) {
  auto address = AddressOf(socket_path);
  if (!address) return Fail(address.error());
  auto socket = NewSocket();
  if (!socket) return Fail(socket.error());
  if (::connect(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) !=
      0) {
    return FailErrno(ErrorCode::kUnavailable, socket_path);
  }
  return Connection(std::move(*socket));
}

Expected<Listener> Listener::Create(const std::string& socket_path) {
  auto address = AddressOf(socket_path);
  if (!address) return Fail(address.error());
  if (Connect(socket_path)) {
    return Fail(ErrorCode::kAlreadyExists, socket_path + ": another process listens on it");
  }
  struct stat info {};
  if (::lstat(socket_path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return Fail(ErrorCode::kAlreadyExists, socket_path + ": exists and is no socket");
    }
    ::unlink(socket_path.c_str());
  }
  auto socket = NewSocket();
  if (!socket) return Fail(socket.error());
  // The mode of the file that bind() makes is that of the socket: never open to others.
  ::fchmod(socket->get(), 0600);
  if (::bind(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(socket->get(), 1) != 0) {
    return FailErrno(ErrorCode::kUnavailable, socket_path);
  }
  return Listener(std::move(*socket), socket_path);
}

Listener::~Listener() {
  if (socket_) ::unlink(path_.c_str());
}

Expected<Connection> Listener::Accept(const Interrupt& interrupt, Timeout timeout) {
  if (Status status = Wait(socket_.get(), POLLIN, interrupt, timeout); !status) {
    return Fail(status.error());
  }
  FileDescriptor peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) return FailErrno(ErrorCode::kUnavailable, "accept");
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 ||
      (credentials.uid != ::geteuid() && credentials.uid != 0)) {
    return Fail(ErrorCode::kPermissionDenied, "a module of another user was turned away");
  }
  return Connection(std::move(peer));
}

}  // namespace edgeloop::frame
