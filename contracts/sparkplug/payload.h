// Sparkplug B payloads that are not records: births and deaths of nodes, deaths of devices,
// commands (specification chapter 6), and the sequence number all of them share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/error/error.h"
#include "contracts/ids/ids.h"

namespace org::eclipse::tahu::protobuf {
class Payload;
}
namespace edgeloop::v1 {
class Command;
}

namespace edgeloop::sparkplug {

inline constexpr size_t kMaxPayloadBytes = 1u << 20;
inline constexpr size_t kMaxMetrics = 1024;       // of one payload
inline constexpr size_t kMaxNameBytes = 128;      // of one metric
inline constexpr size_t kMaxStringBytes = 1'024;  // of one String value

using Proto = org::eclipse::tahu::protobuf::Payload;

// Parses bytes from the network: bounded in size, metrics and names before anything is allocated
// for them. DataSet values are refused: no message of ours has one, and they nest.
Status ParsePayload(std::string_view bytes, Proto* payload);

// The payload sequence number of an edge node, 0..255 and round again; shared by all messages of
// the node and its devices except NDEATH. An NBIRTH is number 0.
class SequenceCounter {
 public:
  void Reset() { next_ = 0; }
  uint8_t Next() { return next_++; }

 private:
  uint8_t next_ = 0;
};

// The receiver's side: has a message of the node been lost?
class SequenceTracker {
 public:
  void Born(uint8_t birth_seq) { next_ = uint8_t(birth_seq + 1); }
  // False when this is not the number that had to come; follows the sender either way.
  bool Follows(uint8_t seq) {
    const bool expected = seq == next_;
    next_ = uint8_t(seq + 1);
    return expected;
  }

 private:
  uint8_t next_ = 0;
};

// The sequence number of a parsed payload. kCorrupt when absent or above 255.
Expected<uint8_t> SequenceOf(const Proto& payload);

// NBIRTH: number 0 always. `bd_seq` grows by one with each MQTT connection and is also in the will.
std::string NodeBirth(uint64_t bd_seq, uint64_t now_ms);
std::string NodeDeath(uint64_t bd_seq, uint64_t now_ms);
std::string DeviceDeath(uint8_t seq, uint64_t now_ms);
// bdSeq of an NBIRTH or NDEATH.
Expected<uint64_t> BirthDeathSequenceOf(const Proto& payload);

// NCMD "Node Control/Rebirth": publish all births again, and resend from the last acknowledgement.
std::string RebirthRequest(uint64_t now_ms);
// True for a rebirth request; false for any other well-formed node command.
Expected<bool> IsRebirthRequest(std::string_view bytes);

// DCMD: every record up to `position` is durable in the stream.
std::string Acknowledgement(const RecordPosition& position, uint64_t now_ms);
// DCMD: one command of the stream.
std::string DeviceCommand(const v1::Command& command, uint64_t now_ms);
// What a DCMD may carry: one of these, or both.
struct DeviceInstruction {
  std::optional<RecordPosition> acknowledged;
  std::string command;  // serialized edgeloop.v1.Command, empty when there is none
};
Expected<DeviceInstruction> ReadDeviceInstruction(std::string_view bytes);

}  // namespace edgeloop::sparkplug
