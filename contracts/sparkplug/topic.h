// MQTT topics of Sparkplug B 3.0 (specification chapter 4):
// spBv1.0/<group>/<message type>/<edge node>[/<device>].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop::sparkplug {

enum class MessageType : uint8_t {
  kNodeBirth,
  kNodeDeath,
  kNodeData,
  kNodeCommand,
  kDeviceBirth,
  kDeviceDeath,
  kDeviceData,
  kDeviceCommand,
};

// "NBIRTH", "DCMD"...
std::string_view MessageTypeName(MessageType type);
bool IsDeviceMessage(MessageType type);

struct Topic {
  std::string group;
  MessageType type = MessageType::kNodeBirth;
  std::string node;    // the gateway
  std::string device;  // empty in messages of the node itself
  friend bool operator==(const Topic&, const Topic&) = default;
};

std::string FormatTopic(const Topic& topic);
// Group, node and device must be ids of ours (contracts/ids); a device level must be there for the
// D messages and absent for the N messages.
Expected<Topic> ParseTopic(std::string_view text);

// All of a group's messages of one type: "spBv1.0/<group>/<type>/#" to subscribe to.
std::string TopicFilter(std::string_view group, MessageType type);

}  // namespace edgeloop::sparkplug
