// The HTTP interfaces of the platform that the demonstration uses as an operator would.
#pragma once

#include <cstdint>
#include <string>

#include "cli/site/access.h"
#include "contracts/error/error.h"

namespace edgeloop::demo {

struct PublishedModel {
  std::string name;
  uint32_t version = 0;
  std::string digest;
  uint64_t size = 0;
  std::string key_id;
};

struct Counters {
  uint64_t produced = 0;  // records, of all devices
  uint64_t pending = 0;   // not acknowledged yet
};

class PlatformClient {
 public:
  explicit PlatformClient(const site::Access& access) : access_(access) {}

  Expected<PublishedModel> Champion();
  // On how many alarming windows the model trips.
  Expected<int> TripCount(const PublishedModel& model);
  // The champion with a bias that makes every window an alarm, properly signed and published.
  Expected<PublishedModel> PublishBadModel();
  Status ForceRollout(const PublishedModel& model);
  Expected<Counters> ReadCounters();
  Expected<uint64_t> DuplicatesRemoved();

 private:
  Expected<std::string> Call(std::string_view service, bool health, std::string_view method,
                             const std::string& path, const std::string& body = "");
  Expected<PublishedModel> Version(uint32_t version);

  const site::Access& access_;
};

}  // namespace edgeloop::demo
