// Bodies of publishers.
#include <cstdlib>

#include "platform/services/registry/api.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto version = edgeloop::registry::ParseVersionBody("motor", text);
  if (version && (version->model.version == 0 || version->model.size_bytes == 0)) std::abort();
  (void)edgeloop::registry::ParseAliasBody(text);
  return 0;
}
