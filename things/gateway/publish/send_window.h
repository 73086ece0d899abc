// Which of a device's records are on their way: sent, but not yet acknowledged as durable in the
// stream.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>

namespace edgeloop::gateway {

class SendWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxRecords = 512;
  static constexpr size_t kMaxBytes = 2u << 20;  // what the MQTT client may have to buffer
  static constexpr std::chrono::milliseconds kResendAfter{2'000};
  static constexpr std::chrono::milliseconds kMaxResendAfter{16'000};

  // Everything up to here has been looked at: continue reading the store behind it.
  uint64_t sent_seq() const { return sent_seq_; }
  // The last record that really went, or was acknowledged: what the next one follows.
  uint64_t previous_seq() const { return previous_seq_; }
  bool empty() const { return in_flight_.empty(); }
  size_t free_records() const { return kMaxRecords - in_flight_.size(); }
  // A record larger than the limit goes when nothing else is on its way.
  bool full() const { return in_flight_.size() >= kMaxRecords || bytes_ >= kMaxBytes; }
  bool WasSentBefore(uint64_t seq) const { return seq <= highest_sent_; }

  void Sent(uint64_t seq, size_t bytes, Time now) {
    if (in_flight_.empty()) waiting_since_ = now;
    in_flight_.push_back({seq, bytes});
    bytes_ += bytes;
    sent_seq_ = previous_seq_ = seq;
    highest_sent_ = std::max(highest_sent_, seq);
  }
  // A record that cannot be sent.
  void Skip(uint64_t seq) { sent_seq_ = std::max(sent_seq_, seq); }

  void Acknowledged(uint64_t seq, Time now) {
    while (!in_flight_.empty() && in_flight_.front().seq <= seq) {
      bytes_ -= in_flight_.front().bytes;
      in_flight_.pop_front();
      waiting_since_ = now;
      resend_after_ = kResendAfter;
    }
    sent_seq_ = std::max(sent_seq_, seq);
    previous_seq_ = std::max(previous_seq_, seq);
  }

  // When everything in flight is to be sent again; max() when nothing is.
  Time resend_at() const {
    return in_flight_.empty() ? Time::max() : waiting_since_ + resend_after_;
  }
  void BackOff() { resend_after_ = std::min(resend_after_ * 2, kMaxResendAfter); }
  // Sends again from behind the last acknowledged record.
  void Rewind(uint64_t acked_seq) {
    in_flight_.clear();
    bytes_ = 0;
    sent_seq_ = previous_seq_ = acked_seq;
  }

 private:
  struct Entry {
    uint64_t seq;
    size_t bytes;
  };
  std::deque<Entry> in_flight_;
  size_t bytes_ = 0;
  uint64_t sent_seq_ = 0;
  uint64_t previous_seq_ = 0;
  uint64_t highest_sent_ = 0;
  Time waiting_since_;
  std::chrono::milliseconds resend_after_ = kResendAfter;
};

}  // namespace edgeloop::gateway
