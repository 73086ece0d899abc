#include <cstdlib>
#include <string_view>

#include "things/gateway/sensors/sample_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = edgeloop::sensors::ParseSampleText(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (text && text->values.size() % text->names.size() != 0) std::abort();
  return 0;
}
