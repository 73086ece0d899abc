// What a folder of recordings holds, and what a demonstration would do with it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "things/gateway/sensors/recordings.h"

namespace edgeloop::recordings {

struct InspectOptions {
  std::string dir;
  uint32_t window = 2048;  // frames
  uint32_t hop = 512;      // frames
  sensors::Conditions baseline;
  std::vector<sensors::Conditions> changes;
};

// {dir, recordings: [...], plan: {stages: [...]} or {error}, features: {label: {windows, mean:
// {feature: value}}}}. The features are those of the factory model, computed by core as a device
// does.
Expected<nlohmann::json> Inspect(const InspectOptions& options);

}  // namespace edgeloop::recordings
