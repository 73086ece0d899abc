// TelemetryRecord <-> Sparkplug metrics. A DBIRTH declares every metric of a device with name,
// alias and type; a DDATA carries one record by aliases alone. README.md has the table of metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/sparkplug/payload.h"

namespace edgeloop::v1 {
class TelemetryRecord;
}

namespace edgeloop::sparkplug {

inline constexpr size_t kMaxFeatures = 512;
// Aliases are unique in an edge node: device number i of a gateway uses 1 + i * kAliasesPerDevice.
inline constexpr uint64_t kAliasesPerDevice = 1'024;

// What a device says about itself besides its records.
struct DeviceState {
  std::string model_state;   // "confirmed", "trial"...
  uint64_t pending = 0;      // records in the store
  uint64_t produced = 0;     // records made, ever
  uint64_t acked_seq = 0;    // everything up to here has left the store
  uint64_t dropped_raw = 0;  // by a full store, ever
  uint64_t dropped_features = 0;
  uint64_t dropped_alarms = 0;
  friend bool operator==(const DeviceState&, const DeviceState&) = default;
};

class RecordEncoder {
 public:
  static Expected<RecordEncoder> Create(uint64_t first_alias,
                                        std::vector<std::string> feature_names);

  // DBIRTH. `boot` is the current one.
  std::string Birth(uint64_t boot, const DeviceState& state, uint8_t seq, uint64_t now_ms) const;

  // False when the record's features are not those of the birth: publish a new birth with an
  // encoder of record.feature_names() first. A record without features fits always.
  bool Fits(const v1::TelemetryRecord& record) const;

  struct DataOptions {
    // Number of the record before this one, as the device's store has it now: the records between
    // are gone (dropped, or acknowledged). For the oldest record held: the last acknowledged
    // number. The receiver takes a record only when it has this one, so that a lost message is seen
    // at once and a dropped record holds nothing up.
    uint64_t previous_seq = 0;
    bool historical = false;  // sent again, or after an outage
    uint8_t seq = 0;          // of the payload
    uint64_t now_ms = 0;
    const DeviceState* state = nullptr;  // added when not null
  };
  // DDATA. kInvalidArgument for a record that does not fit or that no receiver would take.
  Expected<std::string> Data(const v1::TelemetryRecord& record, const DataOptions& options) const;

 private:
  RecordEncoder(uint64_t first_alias, std::vector<std::string> feature_names)
      : first_alias_(first_alias), feature_names_(std::move(feature_names)) {}

  uint64_t first_alias_;
  std::vector<std::string> feature_names_;
};

// Reads DDATA of one device by the aliases of its last DBIRTH. Metrics of names we do not know are
// ignored, so that a device may say more.
class RecordDecoder {
 public:
  static Expected<RecordDecoder> FromBirth(const Proto& birth);
  RecordDecoder(RecordDecoder&&) noexcept;
  RecordDecoder& operator=(RecordDecoder&&) noexcept;
  ~RecordDecoder();

  uint64_t boot() const { return boot_; }
  const DeviceState& state() const { return state_; }

  struct Data {
    uint64_t previous_seq = 0;
    bool historical = false;
    std::optional<DeviceState> state;
  };
  // Fills all of `record` but its device. kNotFound: an alias the birth did not declare, so that a
  // rebirth helps; kCorrupt: nothing helps.
  Expected<Data> Decode(const Proto& payload, v1::TelemetryRecord* record) const;

 private:
  RecordDecoder();
  struct Meaning {
    uint16_t field;    // index in the table of metrics, or "feature", or "foreign"
    uint16_t feature;  // index in feature_names_
  };

  std::unordered_map<uint64_t, Meaning> by_alias_;
  std::vector<std::string> feature_names_;
  uint64_t boot_ = 0;
  DeviceState state_;
};

}  // namespace edgeloop::sparkplug
