// The messages of the streams as JSON, for people and scripts.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop::decode {

// Decodes a value of one of our topics (contracts/topics). Samples of raw windows are left out,
// only their number is told. kNotFound for a topic that is not ours.
Expected<nlohmann::json> Decode(std::string_view topic, std::string_view value);

}  // namespace edgeloop::decode
