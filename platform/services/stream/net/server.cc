#include "platform/services/stream/net/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/services/stream/net/connection.h"

namespace edgeloop::stream {
namespace {

constexpr size_t kReadBufferBytes = 64 * 1024;
constexpr int kBacklog = 128;
constexpr int64_t kAcceptPauseMs = 500;  // when the process has no file descriptors left

std::string AddressText(const sockaddr_storage& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                    nullptr, 0, NI_NUMERICHOST) != 0) {
    return "unknown";
  }
  return host.data();
}

}  // namespace

class Server::Acceptor final : public FdHandler {
 public:
  explicit Acceptor(Server& server) : server_(server) {}
  void OnEvents(uint32_t) override { server_.Accept(); }

 private:
  Server& server_;
};

Server::Server(EventLoop& loop, const ServerOptions& options, tls::SslCtxPtr tls,
               OnRequest on_request, OnNotice on_notice, OnCount on_count)
    : loop_(loop),
      options_(options),
      tls_(std::move(tls)),
      on_request_(std::move(on_request)),
      on_notice_(std::move(on_notice)),
      on_count_(std::move(on_count)),
      acceptor_(std::make_unique<Acceptor>(*this)),
      read_buffer_(kReadBufferBytes) {
  if (tls_) {
    // A write may be taken in part and go on from another place in memory.
    SSL_CTX_set_mode(tls_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
}

Server::~Server() { Close(); }

Expected<std::unique_ptr<Server>> Server::Create(EventLoop& loop, const ServerOptions& options,
                                                 tls::SslCtxPtr tls, OnRequest on_request,
                                                 OnNotice on_notice, OnCount on_count) {
  std::unique_ptr<Server> server(new Server(loop, options, std::move(tls), std::move(on_request),
                                            std::move(on_notice), std::move(on_count)));
  const std::string place = options.host + ":" + std::to_string(options.port);
  const addrinfo hints{.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int error =
          ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
      error != 0) {
    return Fail(ErrorCode::kInvalidArgument, "listen " + place + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address(found, &::freeaddrinfo);
  const auto fail = [&](const char* what) {
    return Fail(ErrorCode::kUnavailable,
                "listen " + place + ": " + what + ": " + std::strerror(errno));
  };
  server->listen_fd_ = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (server->listen_fd_ < 0) return fail("socket");
  const int on = 1;
  ::setsockopt(server->listen_fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(server->listen_fd_, address->ai_addr, address->ai_addrlen) != 0) return fail("bind");
  if (::listen(server->listen_fd_, kBacklog) != 0) return fail("listen");
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(server->listen_fd_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return fail("getsockname");
  }
  server->port_ =
      ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                        : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  auto watch = loop.Watch(server->listen_fd_, EPOLLIN, server->acceptor_.get());
  if (!watch) return Fail(watch.error());
  server->listen_watch_ = *watch;
  return server;
}

void Server::Accept() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd = ::accept4(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) {
      on_notice_("accept: no file descriptors left; trying again");
      loop_.Change(listen_watch_, listen_fd_, 0);
      loop_.RunAfter(kAcceptPauseMs, [this] {
        if (listen_fd_ >= 0) loop_.Change(listen_watch_, listen_fd_, EPOLLIN);
      });
    }
    return;
  }
  const std::string host = AddressText(address, size);
  if (connections_.size() >= options_.limits.max_connections) {
    on_notice_("connection from " + host + " refused: limits.max_connections is " +
               std::to_string(options_.limits.max_connections));
    ::close(fd);
    return;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SslPtr ssl;
  if (tls_) {
    ssl.reset(SSL_new(tls_.get()));
    if (!ssl || SSL_set_fd(ssl.get(), fd) != 1) {
      on_notice_("connection from " + host + " refused: " + tls::LastOpensslError());
      ::close(fd);
      return;
    }
  }
  const uint64_t id = next_connection_++;
  auto connection = std::make_unique<Connection>(*this, id, fd, std::move(ssl), host);
  if (!connection->Start()) return;
  connections_.emplace(id, std::move(connection));
  on_count_(connections_.size());
}

void Server::Respond(RequestSlot slot, std::vector<uint8_t> frame) {
  auto found = connections_.find(slot.connection);
  if (found != connections_.end()) found->second->Respond(slot.sequence, std::move(frame));
}

void Server::Remove(uint64_t connection) {
  auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  const std::unique_ptr<Connection> removed = std::move(found->second);
  connections_.erase(found);
  on_count_(connections_.size());
}

void Server::ReleaseBytes(size_t bytes) {
  held_bytes_ -= bytes;
  if (waiting_for_memory_.empty() || MemoryFull()) return;
  loop_.Post([this, waiting = std::exchange(waiting_for_memory_, {})] {
    for (const uint64_t id : waiting) {
      if (auto found = connections_.find(id); found != connections_.end()) {
        found->second->ResumeReading();
      }
    }
  });
}

void Server::Close() {
  if (listen_fd_ >= 0) {
    if (listen_watch_ != 0) loop_.Unwatch(listen_watch_, listen_fd_);
    ::close(listen_fd_);
    listen_fd_ = -1;
  }
  waiting_for_memory_.clear();
  while (!connections_.empty()) Remove(connections_.begin()->first);
}

}  // namespace edgeloop::stream
