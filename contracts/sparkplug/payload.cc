#include "contracts/sparkplug/payload.h"

#include <google/protobuf/io/coded_stream.h>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/sparkplug/metric.h"

namespace edgeloop::sparkplug {
namespace {

using google::protobuf::io::CodedInputStream;

// Field numbers of Payload and Payload.Metric, and the wire types of protobuf's encoding.
constexpr uint32_t kMetricsField = 2;
constexpr uint32_t kNameField = 1;
constexpr uint32_t kDataSetField = 17;
constexpr uint32_t kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5;

std::unexpected<Error> Corrupt(std::string message) {
  return Fail(ErrorCode::kCorrupt, std::move(message));
}

// Skips one field's value, or gives its bytes when it is length-delimited.
bool SkipField(CodedInputStream& in, uint32_t wire_type, uint32_t* length) {
  uint64_t ignored;
  uint32_t ignored32;
  *length = 0;
  switch (wire_type) {
    case kVarint:
      return in.ReadVarint64(&ignored);
    case kFixed64:
      return in.ReadLittleEndian64(&ignored);
    case kFixed32:
      return in.ReadLittleEndian32(&ignored32);
    case kLengthDelimited:
      return in.ReadVarint32(length) && *length <= kMaxPayloadBytes && in.Skip(int(*length));
    default:
      return false;  // groups: not in this schema
  }
}

Status CheckMetric(std::string_view bytes) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), int(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length;
    if (!SkipField(in, tag & 7, &length)) return Corrupt("a metric is cut short");
    if (tag >> 3 == kDataSetField) return Corrupt("a metric holds a DataSet, which is not used");
    if (tag >> 3 == kNameField && length > kMaxNameBytes) {
      return Corrupt("a metric name is longer than " + std::to_string(kMaxNameBytes) + " bytes");
    }
  }
  return {};
}

// Walks the encoding without allocating, since two bytes can make an empty metric of a hundred.
Status CheckShape(std::string_view bytes) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), int(bytes.size()));
  size_t metrics = 0;
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length;
    if (!SkipField(in, tag & 7, &length)) return Corrupt("payload is not protobuf");
    if (tag >> 3 != kMetricsField || (tag & 7) != kLengthDelimited) continue;
    if (++metrics > kMaxMetrics) {
      return Corrupt("payload has more than " + std::to_string(kMaxMetrics) + " metrics");
    }
    const auto end = size_t(in.CurrentPosition());
    if (auto ok = CheckMetric(bytes.substr(end - length, length)); !ok) return ok;
  }
  return {};
}

const Metric* Find(const Proto& payload, std::string_view name) {
  for (const Metric& metric : payload.metrics()) {
    if (metric.name() == name) return &metric;
  }
  return nullptr;
}

Metric* Add(Proto& payload, std::string_view name, DataType type) {
  Metric* metric = payload.add_metrics();
  metric->set_name(name.data(), name.size());
  metric->set_timestamp(payload.timestamp());
  metric->set_datatype(uint32_t(type));
  return metric;
}

Proto At(uint64_t now_ms) {
  Proto payload;
  payload.set_timestamp(now_ms);
  return payload;
}

}  // namespace

Expected<uint64_t> UnsignedOf(const Metric& metric, std::string_view name, uint64_t max) {
  uint64_t value = 0;
  if (metric.has_int_value()) {
    value = metric.int_value();
  } else if (metric.has_long_value()) {
    value = metric.long_value();
  } else {
    return Corrupt("metric " + std::string(name) + " is not an unsigned number");
  }
  if (value > max) {
    return Corrupt("metric " + std::string(name) + " is " + std::to_string(value) +
                   ", at most is " + std::to_string(max));
  }
  return value;
}

Expected<float> FloatOf(const Metric& metric, std::string_view name) {
  if (metric.has_float_value()) return metric.float_value();
  return Corrupt("metric " + std::string(name) + " is not a Float");
}

Expected<bool> BooleanOf(const Metric& metric, std::string_view name) {
  if (metric.has_boolean_value()) return metric.boolean_value();
  return Corrupt("metric " + std::string(name) + " is not a Boolean");
}

Expected<std::string_view> StringOf(const Metric& metric, std::string_view name) {
  if (!metric.has_string_value()) {
    return Corrupt("metric " + std::string(name) + " is not a String");
  }
  if (metric.string_value().size() > kMaxStringBytes) {
    return Corrupt("metric " + std::string(name) + " is longer than " +
                   std::to_string(kMaxStringBytes) + " bytes");
  }
  return metric.string_value();
}

Expected<std::string_view> BytesOf(const Metric& metric, std::string_view name) {
  if (metric.has_bytes_value()) return metric.bytes_value();
  return Corrupt("metric " + std::string(name) + " is not Bytes");
}

Status ParsePayload(std::string_view bytes, Proto* payload) {
  if (bytes.size() > kMaxPayloadBytes) {
    return Corrupt("payload of " + std::to_string(bytes.size()) + " bytes, at most " +
                   std::to_string(kMaxPayloadBytes));
  }
  if (auto ok = CheckShape(bytes); !ok) return ok;
  if (!payload->ParseFromArray(bytes.data(), int(bytes.size()))) {
    return Corrupt("payload is not a Sparkplug B protobuf");
  }
  return {};
}

Expected<uint8_t> SequenceOf(const Proto& payload) {
  if (!payload.has_seq() || payload.seq() > 255) {
    return Corrupt("payload has no sequence number of 0 to 255");
  }
  return uint8_t(payload.seq());
}

std::string NodeBirth(uint64_t bd_seq, uint64_t now_ms) {
  Proto payload = At(now_ms);
  payload.set_seq(0);
  Add(payload, kBirthDeathSequence, DataType::kUInt64)->set_long_value(bd_seq);
  Add(payload, kRebirth, DataType::kBoolean)->set_boolean_value(false);
  return payload.SerializeAsString();
}

std::string NodeDeath(uint64_t bd_seq, uint64_t now_ms) {
  Proto payload = At(now_ms);
  Add(payload, kBirthDeathSequence, DataType::kUInt64)->set_long_value(bd_seq);
  return payload.SerializeAsString();
}

std::string DeviceDeath(uint8_t seq, uint64_t now_ms) {
  Proto payload = At(now_ms);
  payload.set_seq(seq);
  return payload.SerializeAsString();
}

Expected<uint64_t> BirthDeathSequenceOf(const Proto& payload) {
  const Metric* metric = Find(payload, kBirthDeathSequence);
  if (metric == nullptr) return Corrupt("metric bdSeq is missing");
  return UnsignedOf(*metric, kBirthDeathSequence, UINT64_MAX);
}

std::string RebirthRequest(uint64_t now_ms) {
  Proto payload = At(now_ms);
  Add(payload, kRebirth, DataType::kBoolean)->set_boolean_value(true);
  return payload.SerializeAsString();
}

Expected<bool> IsRebirthRequest(std::string_view bytes) {
  Proto payload;
  if (auto ok = ParsePayload(bytes, &payload); !ok) return Fail(ok.error(), "node command");
  const Metric* metric = Find(payload, kRebirth);
  return metric == nullptr ? false : BooleanOf(*metric, kRebirth);
}

std::string Acknowledgement(const RecordPosition& position, uint64_t now_ms) {
  Proto payload = At(now_ms);
  Add(payload, kAckBoot, DataType::kUInt64)->set_long_value(position.boot);
  Add(payload, kAckSeq, DataType::kUInt64)->set_long_value(position.seq);
  return payload.SerializeAsString();
}

std::string DeviceCommand(const v1::Command& command, uint64_t now_ms) {
  Proto payload = At(now_ms);
  Add(payload, kCommand, DataType::kBytes)->set_bytes_value(command.SerializeAsString());
  return payload.SerializeAsString();
}

Expected<DeviceInstruction> ReadDeviceInstruction(std::string_view bytes) {
  Proto payload;
  if (auto ok = ParsePayload(bytes, &payload); !ok) return Fail(ok.error(), "device command");
  DeviceInstruction result;
  const Metric* boot = Find(payload, kAckBoot);
  const Metric* seq = Find(payload, kAckSeq);
  if ((boot == nullptr) != (seq == nullptr)) {
    return Corrupt("device command has one of record/ack_boot and record/ack_seq alone");
  }
  if (boot != nullptr) {
    auto boot_value = UnsignedOf(*boot, kAckBoot, UINT64_MAX);
    if (!boot_value) return Fail(boot_value.error());
    auto seq_value = UnsignedOf(*seq, kAckSeq, UINT64_MAX);
    if (!seq_value) return Fail(seq_value.error());
    result.acknowledged = RecordPosition{*boot_value, *seq_value};
  }
  if (const Metric* metric = Find(payload, kCommand)) {
    auto command = BytesOf(*metric, kCommand);
    if (!command) return Fail(command.error());
    result.command = *command;
  }
  if (!result.acknowledged && result.command.empty()) {
    return Corrupt("device command has neither an acknowledgement nor a command");
  }
  return result;
}

}  // namespace edgeloop::sparkplug
