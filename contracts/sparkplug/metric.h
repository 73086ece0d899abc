// Reading and writing single metrics. Internal to contracts/sparkplug.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "contracts/error/error.h"
#include "contracts/proto/sparkplug_b.pb.h"

namespace edgeloop::sparkplug {

using Metric = org::eclipse::tahu::protobuf::Payload_Metric;

// Data types of specification section 6.4.16 that our metrics use.
enum class DataType : uint32_t {
  kUInt32 = 7,
  kUInt64 = 8,
  kFloat = 9,
  kBoolean = 11,
  kString = 12,
  kBytes = 17,
};

inline constexpr std::string_view kBirthDeathSequence = "bdSeq";
inline constexpr std::string_view kRebirth = "Node Control/Rebirth";
inline constexpr std::string_view kAckBoot = "record/ack_boot";
inline constexpr std::string_view kAckSeq = "record/ack_seq";
inline constexpr std::string_view kCommand = "edgeloop/command";

// Each getter checks that the value is there and of the right type; `name` is for the message.
Expected<uint64_t> UnsignedOf(const Metric& metric, std::string_view name, uint64_t max);
Expected<float> FloatOf(const Metric& metric, std::string_view name);
Expected<bool> BooleanOf(const Metric& metric, std::string_view name);
Expected<std::string_view> StringOf(const Metric& metric, std::string_view name);
Expected<std::string_view> BytesOf(const Metric& metric, std::string_view name);

}  // namespace edgeloop::sparkplug
