#include "things/gateway/sensors/wav.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes(data, size);
  if (auto format = edgeloop::sensors::ParseWav(bytes, size)) {
    (void)edgeloop::sensors::DecodeWav(
        *format,
        bytes.subspan(format->data_offset, format->frames * format->channels * format->bits / 8u));
  }
  return 0;
}
