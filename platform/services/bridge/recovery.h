// What another bridge before this one has written, read back from the stream.
#pragma once

#include <chrono>

#include "platform/services/bridge/ledger.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::bridge {

// Reads the newest message of edgeloop.positions, then edgeloop.telemetry from there to its end.
// kTimeout when the stream gives nothing for `patience`.
Expected<Recovered> Recover(const kafka::ConnectionOptions& stream,
                            std::chrono::milliseconds patience);

}  // namespace edgeloop::bridge
