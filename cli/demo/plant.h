// Directs the simulated machines: which segments each device's source plays next.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/demo/world.h"
#include "cli/site/access.h"
#include "contracts/error/error.h"
#include "runtime/http/client.h"
#include "things/gateway/sensors/segment.h"

namespace edgeloop::demo {

class Plant {
 public:
  explicit Plant(const site::Access& access) : access_(access) {}

  // Replaces what the device plays. Gives the segments their ids and returns these, in order. With
  // `loop_last` the last one is repeated for ever.
  Expected<std::vector<std::string>> Play(const std::string& device,
                                          std::vector<sensors::Segment> segments, bool loop_last);
  // Waits until these have been played (or, the last of a loop, once) and gives the time of each.
  Expected<std::vector<Interval>> WaitPlayed(const std::string& device,
                                             const std::vector<std::string>& ids,
                                             std::chrono::steady_clock::time_point deadline);
  // The device's source falls silent.
  Status Stop(const std::string& device);

 private:
  Expected<http::Client*> Of(const std::string& device, std::string* path);

  const site::Access& access_;
  std::map<std::string, std::unique_ptr<http::Client>> clients_;  // by gateway
  uint64_t next_id_ = 1;
};

}  // namespace edgeloop::demo
