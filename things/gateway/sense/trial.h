// A new model in shadow beside the confirmed one, on the same samples: it decides nothing, it only
// has to show that it is sound (design: an unproven model never moves the contactor).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "things/gateway/sense/clock.h"
#include "things/gateway/sense/loaded_model.h"

namespace edgeloop::gateway {

struct TrialOutcome {
  bool healthy = false;
  std::string reason;  // when it is not
};

class Trial {
 public:
  Trial(std::unique_ptr<LoadedModel> candidate, Clock& clock)
      : candidate_(std::move(candidate)), clock_(clock) {}

  const LoadedModel& candidate() const { return *candidate_; }
  std::unique_ptr<LoadedModel> TakeCandidate() { return std::move(candidate_); }

  // The samples the confirmed model sees.
  void Push(std::span<const float> frames);
  // A new segment begins.
  void Reset() { candidate_->node().Reset(); }
  // The confirmed model finished a window: what alarms on both models is the machine's doing.
  void SawConfirmed(bool alarm) {
    ++confirmed_windows_;
    confirmed_alarms_ += alarm ? 1 : 0;
  }
  // Once the probation is over, or the model has failed already.
  std::optional<TrialOutcome> Outcome() const;

 private:
  std::unique_ptr<LoadedModel> candidate_;
  Clock& clock_;
  uint64_t windows_ = 0;
  uint64_t alarms_ = 0;
  uint64_t slow_windows_ = 0;
  uint64_t slowest_us_ = 0;
  uint64_t confirmed_windows_ = 0;
  uint64_t confirmed_alarms_ = 0;
  bool not_finite_ = false;
};

}  // namespace edgeloop::gateway
