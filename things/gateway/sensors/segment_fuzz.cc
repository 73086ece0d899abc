#include <cstdlib>
#include <nlohmann/json.hpp>

#include "things/gateway/sensors/segment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = nlohmann::json::parse(data, data + size, nullptr, false);
  if (json.is_discarded()) return 0;
  auto segment = edgeloop::sensors::Segment::FromJson(json);
  if (!segment) return 0;
  auto again = edgeloop::sensors::Segment::FromJson(segment->ToJson());
  if (!again || *again != *segment) std::abort();  // what was accepted survives being written
  return 0;
}
