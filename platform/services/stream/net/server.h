// Accepts connections, cuts requests out of them and puts responses back in the order of the
// requests. Knows the frame (length, bytes) of the Kafka protocol, not what is in it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/net/event_loop.h"
#include "runtime/tls/tls.h"

namespace edgeloop::stream {

class Connection;

struct ServerLimits {
  size_t max_connections = 256;
  size_t max_request_bytes = 8u << 20;
  size_t max_in_flight = 64;                   // requests of one connection not yet answered
  size_t max_output_bytes = 16u << 20;         // answered, not yet taken by the client
  size_t max_total_request_bytes = 64u << 20;  // of all connections, not yet answered
  int64_t idle_timeout_ms = 10 * 60 * 1000;
  int64_t handshake_timeout_ms = 10 * 1000;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: any free
  ServerLimits limits;
};

// Which request of which connection: what a response is sent to.
struct RequestSlot {
  uint64_t connection = 0;
  uint64_t sequence = 0;
};

struct Peer {
  std::string host;       // address
  std::string principal;  // common name of the certificate; "anonymous" without TLS
};

class Server {
 public:
  // Returns false when the request is malformed: the connection is closed.
  using OnRequest =
      std::function<bool(RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame)>;
  // One line for the operator.
  using OnNotice = std::function<void(const std::string&)>;

  // `tls` null: plain TCP.
  // How many connections are open, when that changes.
  using OnCount = std::function<void(size_t)>;

  static Expected<std::unique_ptr<Server>> Create(EventLoop& loop, const ServerOptions& options,
                                                  tls::SslCtxPtr tls, OnRequest on_request,
                                                  OnNotice on_notice, OnCount on_count);
  ~Server();

  uint16_t port() const { return port_; }

  // The response, frame length included; empty when the request wants none. A slot is answered
  // once; what comes for a connection that has gone is dropped.
  void Respond(RequestSlot slot, std::vector<uint8_t> frame);
  // Stops to listen and closes all connections.
  void Close();

 private:
  friend class Connection;
  class Acceptor;

  Server(EventLoop& loop, const ServerOptions& options, tls::SslCtxPtr tls, OnRequest on_request,
         OnNotice on_notice, OnCount on_count);
  void Accept();
  void Remove(uint64_t connection);
  void HoldBytes(size_t bytes) { held_bytes_ += bytes; }
  void ReleaseBytes(size_t bytes);
  bool MemoryFull() const { return held_bytes_ >= options_.limits.max_total_request_bytes; }

  EventLoop& loop_;
  const ServerOptions options_;
  const tls::SslCtxPtr tls_;
  const OnRequest on_request_;
  const OnNotice on_notice_;
  const OnCount on_count_;
  int listen_fd_ = -1;
  uint64_t listen_watch_ = 0;
  uint16_t port_ = 0;
  std::unique_ptr<Acceptor> acceptor_;
  uint64_t next_connection_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  size_t held_bytes_ = 0;
  std::vector<uint64_t> waiting_for_memory_;
  std::vector<uint8_t> read_buffer_;  // one for all connections
};

}  // namespace edgeloop::stream
