// The first two bytes split the input into a birth and a data payload. What decodes by a birth is a
// record that its own encoder takes.
#include <cstdlib>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"
#include "contracts/sparkplug/record.h"

using namespace edgeloop;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t split = (size_t(data[0]) << 8 | data[1]) % (all.size() + 1);
  (void)sparkplug::IsRebirthRequest(all);
  (void)sparkplug::ReadDeviceInstruction(all);

  // A real birth as well, so that data gets past the aliases without the fuzzer inventing them all.
  static const auto encoder = sparkplug::RecordEncoder::Create(1, {"a", "b"}).value();
  static const auto fixed = [] {
    sparkplug::Proto birth;
    if (!sparkplug::ParsePayload(encoder.Birth(1, {}, 0, 0), &birth)) std::abort();
    return sparkplug::RecordDecoder::FromBirth(birth).value();
  }();
  sparkplug::Proto payload;
  v1::TelemetryRecord record;
  if (sparkplug::ParsePayload(all, &payload)) {
    if (auto decoded = fixed.Decode(payload, &record)) {
      if (!encoder.Data(record, {.previous_seq = decoded->previous_seq})) std::abort();
    }
  }
  sparkplug::Proto birth;
  if (!sparkplug::ParsePayload(all.substr(0, split), &birth)) return 0;
  const auto decoder = sparkplug::RecordDecoder::FromBirth(birth);
  if (decoder && sparkplug::ParsePayload(all.substr(split), &payload)) {
    (void)decoder->Decode(payload, &record);
  }
  return 0;
}
