// The way in: Sparkplug messages -> records for the stream. Follows births, aliases and sequences
// of every gateway. Does no I/O itself.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/sparkplug/record.h"
#include "contracts/sparkplug/topic.h"
#include "platform/services/bridge/bridge_metrics.h"
#include "platform/services/bridge/ledger.h"

namespace edgeloop::bridge {

inline constexpr size_t kMaxNodes = 4'096;
inline constexpr size_t kMaxDevicesPerNode = 256;
// At most one rebirth request a gateway in this time, one dead letter a gateway too.
inline constexpr int64_t kRebirthInterval_ms = 1'000;

class Intake {
 public:
  struct Outside {
    // Puts a record on its way. kResourceExhausted: no room now.
    std::function<Status(const v1::TelemetryRecord&)> produce;
    std::function<void(std::string_view topic, std::string_view payload, std::string_view reason)>
        dead_letter;
    std::function<void(std::string_view topic, std::string_view payload)> publish;
  };
  Intake(std::string group, Ledger& ledger, BridgeMetrics& metrics, Outside outside);

  void Receive(std::string_view topic, std::string_view payload, int64_t now_ms);
  // The connection was lost: births may have been missed.
  void Forget() { nodes_.clear(); }

 private:
  struct Node {
    bool alive = false;  // between NBIRTH and NDEATH
    uint64_t bd_seq = 0;
    sparkplug::SequenceTracker sequence;
    std::map<std::string, sparkplug::RecordDecoder, std::less<>> devices;
    std::optional<int64_t> asked_ms;  // last rebirth request
    std::optional<int64_t> dead_ms;   // last dead letter
  };

  // kCorrupt: a dead letter. kNotFound: a rebirth helps.
  Status Handle(const sparkplug::Topic& topic, Node& node, std::string_view bytes);
  Status HandleData(const sparkplug::Topic& topic, Node& node, const sparkplug::Proto& payload);
  Status HandleDeviceBirth(const sparkplug::Topic& topic, Node& node,
                           const sparkplug::Proto& payload);
  void AskForBirths(const std::string& node_id, Node& node, int64_t now_ms);

  const std::string group_;
  Ledger& ledger_;
  BridgeMetrics& metrics_;
  const Outside outside_;
  std::map<std::string, Node, std::less<>> nodes_;
};

}  // namespace edgeloop::bridge
