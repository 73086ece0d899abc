#include "platform/services/stream/net/connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/services/stream/log/bytes.h"

namespace edgeloop::stream {
namespace {

// Bytes of a frame are reserved as they come, not as its length promises.
constexpr size_t kFirstReserveBytes = 64 * 1024;
// After so many reads others get their turn.
constexpr int kReadsPerTurn = 8;
constexpr char kDeviceUnit[] = "device";

// A fetch may wait long and answer with much: it runs when all before it are answered, and nothing
// is read after it until it is answered, so that one response a connection is in memory.
bool RunsAlone(std::span<const uint8_t> frame) {
  constexpr int16_t kFetchKey = 1;
  return frame.size() >= 2 && LoadBe<int16_t>(frame.data()) == kFetchKey;
}

}  // namespace

void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Connection::Connection(Server& server, uint64_t id, int fd, SslPtr ssl, std::string host)
    : server_(server),
      id_(id),
      fd_(fd),
      ssl_(std::move(ssl)),
      peer_{std::move(host), "anonymous"},
      handshaking_(ssl_ != nullptr),
      last_activity_ms_(EventLoop::NowMs()) {}

Connection::~Connection() {
  server_.loop_.Cancel(&timer_);
  if (watch_ != 0) server_.loop_.Unwatch(watch_, fd_);
  size_t held = frame_.size();
  for (const Slot& slot : slots_) held += slot.request_bytes;
  server_.ReleaseBytes(held);
  if (ssl_ && !handshaking_ && close_reason_.empty()) SSL_shutdown(ssl_.get());
  ERR_clear_error();
  ::close(fd_);
}

bool Connection::Start() {
  interest_ = EPOLLIN;
  auto watch = server_.loop_.Watch(fd_, interest_, this);
  if (!watch) return false;
  watch_ = *watch;
  ArmIdleTimer();
  return true;
}

void Connection::ArmIdleTimer() {
  const ServerLimits& limits = server_.options_.limits;
  const int64_t limit_ms = handshaking_ ? limits.handshake_timeout_ms : limits.idle_timeout_ms;
  const int64_t due_ms = last_activity_ms_ + limit_ms;
  timer_ = server_.loop_.RunAfter(due_ms - EventLoop::NowMs(), [this, limit_ms] {
    timer_ = {};
    // A client that waits for us is not idle; one that does not take its responses is.
    if (!slots_.empty() && output_.empty()) last_activity_ms_ = EventLoop::NowMs();
    if (EventLoop::NowMs() - last_activity_ms_ >= limit_ms) {
      CloseWith(handshaking_ ? "no TLS handshake in time" : "idle");
    } else {
      ArmIdleTimer();
    }
  });
}

void Connection::CloseWith(const std::string& reason) {
  close_reason_ = reason;
  if (!reason.empty()) {
    server_.on_notice_("connection from " + peer_.host + " (" + peer_.principal +
                       ") closed: " + reason);
  }
  server_.Remove(id_);
}

void Connection::OnEvents(uint32_t epoll_events) {
  const bool alive = [&] {
    if (handshaking_) {
      if (!Handshake()) return false;
      if (handshaking_) return true;
    }
    if ((epoll_events & EPOLLOUT) != 0 || write_wants_output_) {
      write_wants_output_ = false;
      if (!Flush()) return false;
    }
    if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !ReadInput()) return false;
    return Flush();
  }();
  if (!alive) return CloseWith(close_reason_);
  UpdateInterest();
}

bool Connection::Handshake() {
  ERR_clear_error();
  const int result = SSL_accept(ssl_.get());
  if (result != 1) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ) return true;
    if (error == SSL_ERROR_WANT_WRITE) {
      write_wants_output_ = true;
      return true;
    }
    close_reason_ = "TLS handshake failed: " + tls::LastOpensslError();
    return false;
  }
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(ssl_.get()), &X509_free);
  auto identity = tls::PeerOf(certificate.get());
  if (!identity) {
    close_reason_ = identity.error().message();
    return false;
  }
  peer_.principal = identity->common_name;
  if (identity->organizational_unit == kDeviceUnit) {
    close_reason_ = "devices (OU=device) never talk to the stream";
    return false;
  }
  handshaking_ = false;
  last_activity_ms_ = EventLoop::NowMs();
  server_.loop_.Cancel(&timer_);
  ArmIdleTimer();
  return true;
}

Connection::IoResult Connection::ReadSome(std::span<uint8_t> into, size_t* count) {
  if (ssl_) {
    ERR_clear_error();
    if (SSL_read_ex(ssl_.get(), into.data(), into.size(), count) == 1) return IoResult::kDone;
    const int error = SSL_get_error(ssl_.get(), 0);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return IoResult::kBlocked;
    return IoResult::kClosed;
  }
  ssize_t got;
  do {
    got = ::recv(fd_, into.data(), into.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return IoResult::kBlocked;
  if (got <= 0) return IoResult::kClosed;
  *count = static_cast<size_t>(got);
  return IoResult::kDone;
}

Connection::IoResult Connection::WriteSome(std::span<const uint8_t> from, size_t* count) {
  if (ssl_) {
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), from.data(), from.size(), count) == 1) return IoResult::kDone;
    const int error = SSL_get_error(ssl_.get(), 0);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return IoResult::kBlocked;
    return IoResult::kClosed;
  }
  ssize_t sent;
  do {
    sent = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return IoResult::kBlocked;
  if (sent <= 0) return IoResult::kClosed;
  *count = static_cast<size_t>(sent);
  return IoResult::kDone;
}

bool Connection::MayRead() const {
  const ServerLimits& limits = server_.options_.limits;
  return !frame_ready_ && !exclusive_ && slots_.size() < limits.max_in_flight &&
         output_bytes_ < limits.max_output_bytes && !server_.MemoryFull();
}

bool Connection::ReadInput() {
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    if (!MayRead()) {
      if (server_.MemoryFull()) server_.waiting_for_memory_.push_back(id_);
      return true;
    }
    size_t count = 0;
    switch (ReadSome(server_.read_buffer_, &count)) {
      case IoResult::kBlocked:
        return true;
      case IoResult::kClosed:
        return false;
      case IoResult::kDone:
        break;
    }
    last_activity_ms_ = EventLoop::NowMs();
    if (!Consume(std::span(server_.read_buffer_).first(count))) return false;
    // TLS hands out one record at a time: a short read does not mean that no more waits.
    if (!ssl_ && count < server_.read_buffer_.size()) return true;
  }
  return true;
}

bool Connection::Consume(std::span<const uint8_t> bytes) {
  in_input_ = true;
  while (!bytes.empty()) {
    if (!MayRead()) {
      left_over_.assign(bytes.begin(), bytes.end());
      break;
    }
    if (length_have_ < length_.size()) {
      const size_t count = std::min(length_.size() - length_have_, bytes.size());
      std::copy_n(bytes.begin(), count, length_.begin() + static_cast<ptrdiff_t>(length_have_));
      length_have_ += count;
      bytes = bytes.subspan(count);
      if (length_have_ < length_.size()) break;
      const auto size = LoadBe<int32_t>(length_.data());
      const size_t limit = server_.options_.limits.max_request_bytes;
      if (size < 8 || static_cast<size_t>(size) > limit) {
        close_reason_ = "request of " + std::to_string(size) + " bytes (limits.max_request_bytes " +
                        std::to_string(limit) + ")";
        return false;
      }
      frame_size_ = static_cast<size_t>(size);
      frame_.reserve(std::min(frame_size_, kFirstReserveBytes));
    }
    const size_t count = std::min(frame_size_ - frame_.size(), bytes.size());
    frame_.insert(frame_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
    server_.HoldBytes(count);
    bytes = bytes.subspan(count);
    if (frame_.size() == frame_size_) {
      frame_ready_ = true;
      if (!Dispatch()) return false;
    }
  }
  in_input_ = false;
  return true;
}

bool Connection::Dispatch() {
  const bool alone = RunsAlone(frame_);
  if (!frame_ready_ || exclusive_ || (alone && !slots_.empty())) return true;
  exclusive_ = alone;
  frame_ready_ = false;
  length_have_ = 0;
  slots_.push_back({.request_bytes = frame_.size()});
  const RequestSlot slot{id_, first_sequence_ + slots_.size() - 1};
  std::vector<uint8_t> frame;
  frame.swap(frame_);
  if (!server_.on_request_(slot, peer_, std::move(frame))) {
    close_reason_ = "malformed request";
    return false;
  }
  return true;
}

void Connection::Respond(uint64_t sequence, std::vector<uint8_t> frame) {
  if (sequence < first_sequence_ || sequence - first_sequence_ >= slots_.size()) return;
  Slot& answered = slots_[sequence - first_sequence_];
  answered.done = true;
  answered.response = std::move(frame);
  size_t released = 0;
  while (!slots_.empty() && slots_.front().done) {
    Slot& slot = slots_.front();
    released += slot.request_bytes;
    if (!slot.response.empty()) {
      output_bytes_ += slot.response.size();
      output_.push_back(std::move(slot.response));
    }
    slots_.pop_front();
    ++first_sequence_;
  }
  if (slots_.empty()) exclusive_ = false;
  server_.ReleaseBytes(released);
  // Within a request's own call the caller goes on: it flushes, and may not find itself closed.
  if (!in_input_) ResumeReading();
}

void Connection::ResumeReading() {
  const bool alive = [&] {
    in_input_ = true;
    if (frame_ready_ && !Dispatch()) return false;
    in_input_ = false;
    if (!left_over_.empty() && MayRead()) {
      const std::vector<uint8_t> bytes = std::move(left_over_);
      left_over_.clear();
      if (!Consume(bytes)) return false;
    }
    return Flush();
  }();
  if (!alive) return CloseWith(close_reason_);
  UpdateInterest();
}

bool Connection::Flush() {
  while (!output_.empty() && !write_wants_output_) {
    const std::vector<uint8_t>& front = output_.front();
    size_t count = 0;
    switch (WriteSome(std::span(front).subspan(output_at_), &count)) {
      case IoResult::kBlocked:
        write_wants_output_ = true;
        break;
      case IoResult::kClosed:
        return false;
      case IoResult::kDone:
        last_activity_ms_ = EventLoop::NowMs();
        output_at_ += count;
        output_bytes_ -= count;
        if (output_at_ == front.size()) {
          output_.pop_front();
          output_at_ = 0;
        }
        break;
    }
  }
  return true;
}

void Connection::UpdateInterest() {
  uint32_t interest = 0;
  if (handshaking_ || MayRead()) interest |= EPOLLIN;
  if (write_wants_output_) interest |= EPOLLOUT;
  if (interest == interest_) return;
  interest_ = interest;
  server_.loop_.Change(watch_, fd_, interest);
}

}  // namespace edgeloop::stream
