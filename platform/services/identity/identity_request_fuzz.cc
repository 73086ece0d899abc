// Bodies and signing requests from anybody.
#include "platform/services/identity/api.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)edgeloop::identity::ParseEnrolBody(text, true);
  (void)edgeloop::identity::ParseEnrolBody(text, false);
  (void)edgeloop::identity::SigningRequest::Parse(text);
  return 0;
}
