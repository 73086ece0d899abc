#include "things/gateway/sense/clock.h"

#include <time.h>

#include <cerrno>

namespace edgeloop::gateway {
namespace {

constexpr uint64_t kNsPerS = 1'000'000'000;

uint64_t Now(clockid_t id) {
  timespec now;
  ::clock_gettime(id, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerS + static_cast<uint64_t>(now.tv_nsec);
}

class PosixClock final : public Clock {
 public:
  uint64_t MonotonicNs() override { return Now(CLOCK_MONOTONIC); }
  uint64_t UnixNs() override { return Now(CLOCK_REALTIME); }
  uint64_t ThreadCpuNs() override { return Now(CLOCK_THREAD_CPUTIME_ID); }
  void SleepUntil(uint64_t monotonic_ns) override {
    const timespec deadline{static_cast<time_t>(monotonic_ns / kNsPerS),
                            static_cast<long>(monotonic_ns % kNsPerS)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr) == EINTR) {
    }
  }
};

}  // namespace

Clock& SystemClock() {
  static PosixClock clock;
  return clock;
}

}  // namespace edgeloop::gateway
