#include "things/gateway/update/device_command.h"
#include "things/gateway/update/model_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace edgeloop::gateway;  // NOLINT
  static const auto device = edgeloop::DeviceId::Create("gw-01", "m").value();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)DecodeCommand(bytes, device);
  if (auto state = DecodeModelState(bytes)) {
    if (!DecodeModelState(EncodeModelState(*state))) __builtin_trap();
  }
  return 0;
}
