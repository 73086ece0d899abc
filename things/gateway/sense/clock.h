// Time as the loop sees it; tests bring their own.
#pragma once

#include <cstdint>

namespace edgeloop::gateway {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t MonotonicNs() = 0;
  virtual uint64_t UnixNs() = 0;
  virtual uint64_t ThreadCpuNs() = 0;  // processor time of the calling thread
  virtual void SleepUntil(uint64_t monotonic_ns) = 0;
};

Clock& SystemClock();

}  // namespace edgeloop::gateway
