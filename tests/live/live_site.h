// A whole platform for a test: the real processes, supervised as `edgeloop up` does, in a temporary
// state directory that goes away with the object.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cli/site/site.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::live {

inline constexpr std::chrono::seconds kPatience{60};

// Asks `condition` every 50 ms until it holds; false when `patience` is over.
bool Eventually(const std::function<bool()>& condition, std::chrono::seconds patience = kPatience);

// What a gateway says of one of its devices (GET /v1/devices).
struct DeviceCounters {
  uint64_t produced = 0;
  uint64_t acked_seq = 0;
  uint64_t pending = 0;
  uint64_t dropped_raw = 0;
  uint64_t dropped_features = 0;
  uint64_t dropped_alarms = 0;
};

class LiveSite {
 public:
  static Expected<std::unique_ptr<LiveSite>> Start(site::Options options);
  ~LiveSite();

  // Options for `devices` devices with this build's binaries.
  static site::Options OptionsFor(int devices,
                                  const std::vector<std::pair<std::string, std::string>>& source);

  const site::Access& access() const { return site_->access(); }
  std::vector<std::string> devices() const;  // "gw-01/motor-01", ...
  // As of the supervisor; pid -1 when the process is not running.
  supervisor::ProcessState Process(const std::string& name) const;
  void Signal(const std::string& process, int signal) const;
  // Kills with -9 and waits until the supervisor has a new one that is ready.
  ::testing::AssertionResult KillAndAwait(const std::string& process);

  Expected<DeviceCounters> Counters(const std::string& device) const;
  // `segments` is the JSON body of POST /v1/plant/<device>.
  Status Play(const std::string& device, const std::string& segments) const;
  // Lets each device play one last short segment and waits until all of it is acknowledged.
  ::testing::AssertionResult Drain(const std::string& last_segments);
  // All of edgeloop.telemetry, by device, in stream order.
  Expected<std::map<std::string, std::vector<v1::TelemetryRecord>>> ReadTelemetry() const;

 private:
  LiveSite() = default;
  std::string state_dir_;
  std::unique_ptr<site::Site> site_;
};

}  // namespace edgeloop::live
