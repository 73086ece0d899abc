// How far each device has come: which record may be taken next, which are durable in the stream,
// what is missing. README.md says why these rules lose nothing, repeat nothing and keep the order.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/ids/ids.h"
#include "contracts/sparkplug/record.h"

namespace edgeloop::v1 {
class Positions;
class TelemetryRecord;
}  // namespace edgeloop::v1

namespace edgeloop::bridge {

// What a bridge has to know to go on where another one stopped; kept in the stream.
struct Recovered {
  std::map<std::string, RecordPosition, std::less<>> devices;
  std::map<int32_t, int64_t> telemetry_offsets;  // partition -> next offset
};

enum class Verdict {
  kNext,       // take it
  kDuplicate,  // taken before
  kAhead,      // one before it is missing and still exists: wait until the device sends it again
  kRefused,    // the device has lost its numbering, see Birth
};

enum class Birth {
  kGoesOn,
  kRestarted,  // a later boot numbers from the start again: its store was emptied
  kRebased,    // the device was told that more is durable than we find: the stream has lost records
  kRegressed,  // an earlier boot than one already seen: positions would be used twice
};

struct DeviceCounts {
  RecordPosition durable;
  uint64_t records = 0;     // taken by this process
  uint64_t duplicates = 0;  // seen again and left out
  uint64_t gaps = 0;        // records that were never seen and no longer exist
  uint64_t explained = 0;   // those of `gaps` that a LOSS record accounts for
  sparkplug::DeviceState state;
};

// Thread-safe.
class Ledger {
 public:
  explicit Ledger(Recovered recovered);

  // A device's DBIRTH. Must precede its first Judge().
  Birth Born(std::string_view device, uint64_t boot, const sparkplug::DeviceState& state);
  void SetState(std::string_view device, const sparkplug::DeviceState& state);

  // `previous_seq`: see contracts/sparkplug/record.h.
  Verdict Judge(std::string_view device, RecordPosition position, uint64_t previous_seq);
  struct Taken {
    uint64_t gap = 0;        // records missing before this one
    uint64_t explained = 0;  // earlier gaps that this LOSS record accounts for
  };
  // The record is on its way to the stream. Only after Judge() said kNext for it.
  Taken Take(const v1::TelemetryRecord& record);
  // The stream has it. In the order of Take() for each device.
  void Durable(std::string_view device, RecordPosition position, int32_t partition, int64_t offset);

  struct Ack {
    std::string device;
    RecordPosition position;
  };
  // Devices that should hear of their durable position: it has moved, or they sent a duplicate.
  std::vector<Ack> DueAcks();
  bool HasDueAcks() const;

  // Everything durable; false when nothing changed since the last time it was true.
  bool Checkpoint(v1::Positions* positions);
  // The last checkpoint did not reach the stream: make the next one whether or not more has
  // changed.
  void CheckpointFailed();

  std::map<std::string, DeviceCounts> Counts() const;

 private:
  struct Gap {
    uint64_t first;
    uint64_t last;
    uint64_t open;  // not explained yet
  };
  struct Device {
    RecordPosition taken;    // the last one produced, perhaps not durable yet
    uint64_t after_seq = 0;  // a record may follow any number up to this one
    bool refused = false;
    bool ack_due = false;
    std::deque<Gap> gaps;  // open ones, bounded
    DeviceCounts counts;
  };
  Device& At(std::string_view device);

  mutable std::mutex mutex_;
  std::map<std::string, Device, std::less<>> devices_;
  std::map<int32_t, int64_t> offsets_;
  size_t acks_due_ = 0;
  bool changed_ = false;
};

}  // namespace edgeloop::bridge
