#include <string_view>

#include "things/gateway/sensors/plan.h"
#include "things/gateway/sensors/recordings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto catalogue = edgeloop::sensors::ParseIndex(text)) {
    (void)edgeloop::sensors::PlanConditions(*catalogue, {}, {});
  }
  (void)edgeloop::sensors::ParseConditions(text);
  return 0;
}
