#include "things/gateway/sense/trial.h"

#include <algorithm>
#include <cmath>

namespace edgeloop::gateway {
namespace {

// A cold cache or an interrupt may make one window in ten slow; more is the model's fault.
constexpr uint64_t kSlowWindowsIn = 10;

bool AllFinite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

std::string Percent(double fraction) { return std::to_string(std::lround(fraction * 100)) + "%"; }

}  // namespace

void Trial::Push(std::span<const float> frames) {
  const size_t channels = candidate_->model().channels();
  while (!frames.empty()) {
    node::WindowResult window;
    bool done = false;
    const uint64_t start_ns = clock_.ThreadCpuNs();
    const size_t taken = candidate_->node().Push(frames, &window, &done);
    const uint64_t compute_us = (clock_.ThreadCpuNs() - start_ns) / 1'000;
    frames = frames.subspan(taken * channels);
    if (!done) continue;
    // A sensor's own glitch is not held against the model.
    if (window.code != core::Code::kOk && !AllFinite(window.samples)) continue;
    ++windows_;
    alarms_ += window.alarm ? 1 : 0;
    slow_windows_ += compute_us > candidate_->model().health().max_compute_us ? 1 : 0;
    slowest_us_ = std::max(slowest_us_, compute_us);
    if (window.code != core::Code::kOk || !std::isfinite(window.score)) not_finite_ = true;
  }
}

std::optional<TrialOutcome> Trial::Outcome() const {
  const model::HealthParams& health = candidate_->model().health();
  if (not_finite_) {
    return TrialOutcome{false, "window " + std::to_string(windows_) + " gave no finite score"};
  }
  if (windows_ < health.probation_windows) return std::nullopt;
  if (slow_windows_ * kSlowWindowsIn > windows_) {
    return TrialOutcome{false, "computes up to " + std::to_string(slowest_us_) +
                                   " us a window, its limit is " +
                                   std::to_string(health.max_compute_us)};
  }
  const double fraction = static_cast<double>(alarms_) / static_cast<double>(windows_);
  const double confirmed = confirmed_windows_ == 0 ? 0
                                                   : static_cast<double>(confirmed_alarms_) /
                                                         static_cast<double>(confirmed_windows_);
  if (fraction > std::max(static_cast<double>(health.max_alarm_fraction), confirmed)) {
    return TrialOutcome{false, "alarmed on " + Percent(fraction) + " of " +
                                   std::to_string(windows_) + " windows, allowed " +
                                   Percent(health.max_alarm_fraction) + ", the confirmed model " +
                                   Percent(confirmed)};
  }
  return TrialOutcome{true, ""};
}

}  // namespace edgeloop::gateway
