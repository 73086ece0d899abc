// One client: TLS, framing, order of responses, limits. Belongs to Server.
#pragma once

#include <array>
#include <deque>
#include <span>

#include "platform/services/stream/net/server.h"

struct ssl_st;

namespace edgeloop::stream {

struct SslDeleter {
  void operator()(ssl_st* ssl) const;
};
using SslPtr = std::unique_ptr<ssl_st, SslDeleter>;

class Connection final : public FdHandler {
 public:
  Connection(Server& server, uint64_t id, int fd, SslPtr ssl, std::string host);
  ~Connection();

  // False: it could not be registered.
  bool Start();
  void OnEvents(uint32_t epoll_events) override;
  void Respond(uint64_t sequence, std::vector<uint8_t> frame);
  void ResumeReading();

 private:
  struct Slot {
    bool done = false;
    size_t request_bytes = 0;
    std::vector<uint8_t> response;
  };
  enum class IoResult { kDone, kBlocked, kClosed };

  // Each returns false when the connection must close.
  bool Handshake();
  bool ReadInput();
  bool Consume(std::span<const uint8_t> bytes);
  bool Dispatch();
  bool Flush();

  IoResult ReadSome(std::span<uint8_t> into, size_t* count);
  IoResult WriteSome(std::span<const uint8_t> from, size_t* count);
  bool MayRead() const;
  void UpdateInterest();
  void ArmIdleTimer();
  void CloseWith(const std::string& reason);  // destroys this

  Server& server_;
  const uint64_t id_;
  const int fd_;
  const SslPtr ssl_;
  Peer peer_;
  uint64_t watch_ = 0;
  uint32_t interest_ = 0;
  bool handshaking_;
  bool write_wants_output_ = false;  // the socket is full
  EventLoop::Timer timer_;
  int64_t last_activity_ms_;
  std::string close_reason_;

  // Input: the frame being read.
  std::array<uint8_t, 4> length_{};
  size_t length_have_ = 0;
  size_t frame_size_ = 0;
  std::vector<uint8_t> frame_;
  bool frame_ready_ = false;        // whole, not yet dispatched
  std::vector<uint8_t> left_over_;  // read from the socket, not yet consumed

  std::deque<Slot> slots_;       // oldest first
  uint64_t first_sequence_ = 0;  // of slots_.front()
  bool exclusive_ = false;       // the last request runs alone
  bool in_input_ = false;

  std::deque<std::vector<uint8_t>> output_;
  size_t output_at_ = 0;  // sent bytes of output_.front()
  size_t output_bytes_ = 0;
};

}  // namespace edgeloop::stream
