// Every topic that parses is written back the same.
#include <cstdlib>

#include "contracts/sparkplug/topic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto topic = edgeloop::sparkplug::ParseTopic(text);
  if (topic && edgeloop::sparkplug::FormatTopic(*topic) != text) std::abort();
  return 0;
}
