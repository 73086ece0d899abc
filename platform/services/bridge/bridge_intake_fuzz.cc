// A hostile gateway: the input is a list of messages, each {type u8, length u16 big-endian,
// payload}. Records that get through are in order.
#include <cstdlib>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "platform/services/bridge/intake.h"
#include "runtime/log/log.h"

using namespace edgeloop;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static metrics::Registry registry;
  static bridge::BridgeMetrics metrics(registry);
  static const bool quiet = [] {
    log::Init("fuzz", log::Level(int(log::Level::kError) + 1), log::Format::kText);
    return true;
  }();
  (void)quiet;
  static const auto encoder = *sparkplug::RecordEncoder::Create(1, {"a"});

  bridge::Ledger ledger{bridge::Recovered{}};
  RecordPosition last;
  bridge::Intake intake("edgeloop", ledger, metrics,
                        {.produce = [&](const v1::TelemetryRecord& record) -> Status {
                           const RecordPosition position{record.boot(), record.seq()};
                           if (position <= last) std::abort();
                           last = position;
                           return {};
                         },
                         .dead_letter = [](std::string_view, std::string_view, std::string_view) {},
                         .publish = [](std::string_view, std::string_view) {}});
  // Real births first, so that data need not invent them.
  intake.Receive("spBv1.0/edgeloop/NBIRTH/gw", sparkplug::NodeBirth(0, 0), 0);
  intake.Receive("spBv1.0/edgeloop/DBIRTH/gw/d", encoder.Birth(1, {}, 1, 0), 0);
  for (size_t at = 0; at + 3 <= size;) {
    const auto type = sparkplug::MessageType(data[at] % 8);
    size_t length = size_t(data[at + 1]) << 8 | data[at + 2];
    at += 3;
    if (length > size - at) length = size - at;
    intake.Receive(sparkplug::FormatTopic({"edgeloop", type, "gw", "d"}),
                   {reinterpret_cast<const char*>(data) + at, length}, int64_t(at));
    at += length;
  }
  return 0;
}
