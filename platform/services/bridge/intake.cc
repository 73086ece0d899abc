#include "platform/services/bridge/intake.h"

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"
#include "runtime/log/log.h"

namespace edgeloop::bridge {

using sparkplug::MessageType;

Intake::Intake(std::string group, Ledger& ledger, BridgeMetrics& metrics, Outside outside)
    : group_(std::move(group)), ledger_(ledger), metrics_(metrics), outside_(std::move(outside)) {}

void Intake::Receive(std::string_view topic_text, std::string_view bytes, int64_t now_ms) {
  const auto topic = sparkplug::ParseTopic(topic_text);
  if (!topic || topic->group != group_) {
    // The access control list lets nobody but ourselves publish there.
    log::Warning("message on a topic that is not ours", {{"topic", topic_text.substr(0, 200)}});
    return;
  }
  auto found = nodes_.find(topic->node);
  if (found == nodes_.end()) {
    if (nodes_.size() >= kMaxNodes) {
      log::Warning("too many gateways, message ignored", {{"gateway", topic->node}});
      return;
    }
    found = nodes_.try_emplace(topic->node).first;
  }
  Node& node = found->second;
  const Status handled = Handle(*topic, node, bytes);
  if (handled) return;
  if (handled.error().code() == ErrorCode::kNotFound) {
    AskForBirths(topic->node, node, now_ms);
    return;
  }
  metrics_.dead_letters.Add();
  if (node.dead_ms && now_ms - *node.dead_ms < kRebirthInterval_ms) return;
  node.dead_ms = now_ms;
  log::Warning("message does not decode",
               {{"topic", topic_text}, {"reason", handled.error().message()}});
  outside_.dead_letter(topic_text, bytes, handled.error().message());
}

Status Intake::Handle(const sparkplug::Topic& topic, Node& node, std::string_view bytes) {
  if (topic.type == MessageType::kNodeCommand || topic.type == MessageType::kDeviceCommand) {
    return {};  // our own
  }
  sparkplug::Proto payload;
  if (auto ok = sparkplug::ParsePayload(bytes, &payload); !ok) return ok;

  if (topic.type == MessageType::kNodeBirth || topic.type == MessageType::kNodeDeath) {
    const auto bd_seq = sparkplug::BirthDeathSequenceOf(payload);
    if (!bd_seq) return Fail(bd_seq.error());
    if (topic.type == MessageType::kNodeDeath) {
      // The will of an older connection may come after the birth of the newer one.
      if (node.alive && *bd_seq == node.bd_seq) {
        node.alive = false;
        node.devices.clear();
        log::Info("gateway offline", {{"gateway", topic.node}});
      }
      return {};
    }
    const auto seq = sparkplug::SequenceOf(payload);
    if (!seq) return Fail(seq.error());
    node.alive = true;
    node.bd_seq = *bd_seq;
    node.sequence.Born(*seq);
    node.devices.clear();
    log::Info("gateway online", {{"gateway", topic.node}});
    return {};
  }

  const auto seq = sparkplug::SequenceOf(payload);
  if (!seq) return Fail(seq.error());
  if (!node.alive) return Fail(ErrorCode::kNotFound, "no birth of the gateway was seen");
  const bool follows = node.sequence.Follows(*seq);
  if (!follows) metrics_.payload_gaps.Add();

  Status handled;
  if (topic.type == MessageType::kDeviceBirth) {
    handled = HandleDeviceBirth(topic, node, payload);
  } else if (topic.type == MessageType::kDeviceDeath) {
    const auto device = node.devices.find(topic.device);
    if (device != node.devices.end()) node.devices.erase(device);
  } else if (topic.type == MessageType::kDeviceData) {
    handled = HandleData(topic, node, payload);
  }
  if (handled && !follows) {
    return Fail(ErrorCode::kNotFound, "a message of the gateway was lost");
  }
  return handled;
}

Status Intake::HandleDeviceBirth(const sparkplug::Topic& topic, Node& node,
                                 const sparkplug::Proto& payload) {
  auto decoder = sparkplug::RecordDecoder::FromBirth(payload);
  if (!decoder) return Fail(decoder.error());
  if (node.devices.size() >= kMaxDevicesPerNode && !node.devices.contains(topic.device)) {
    return Fail(ErrorCode::kResourceExhausted, "a gateway may have no more than " +
                                                   std::to_string(kMaxDevicesPerNode) + " devices");
  }
  const std::string device = topic.node + "/" + topic.device;
  switch (ledger_.Born(device, decoder->boot(), decoder->state())) {
    case Birth::kGoesOn:
      break;
    case Birth::kRestarted:
      log::Warning("device numbers its records anew, its store was emptied", {{"device", device}});
      break;
    case Birth::kRebased:
      log::Warning("device was told that more is durable than the stream has",
                   {{"device", device}, {"acked_seq", decoder->state().acked_seq}});
      break;
    case Birth::kRegressed:
      log::Error(
          "device went back to an earlier boot; its records are refused. Restore the gateway's "
          "state, or give the device a new id",
          {{"device", device}, {"boot", decoder->boot()}});
      break;
  }
  node.devices.insert_or_assign(topic.device, std::move(*decoder));
  return {};
}

Status Intake::HandleData(const sparkplug::Topic& topic, Node& node,
                          const sparkplug::Proto& payload) {
  const auto decoder = node.devices.find(topic.device);
  if (decoder == node.devices.end()) {
    return Fail(ErrorCode::kNotFound, "no birth of the device was seen");
  }
  v1::TelemetryRecord record;
  const auto data = decoder->second.Decode(payload, &record);
  if (!data) return Fail(data.error());
  record.set_device(topic.node + "/" + topic.device);
  metrics_.records_in.Add();
  if (data->state) ledger_.SetState(record.device(), *data->state);

  switch (ledger_.Judge(record.device(), {record.boot(), record.seq()}, data->previous_seq)) {
    case Verdict::kDuplicate:
      metrics_.duplicates.Add();
      return {};
    case Verdict::kRefused:
      metrics_.refused.Add();
      return {};
    case Verdict::kAhead:
      metrics_.ahead.Add();
      return Fail(ErrorCode::kNotFound, "a record before this one was lost on the way");
    case Verdict::kNext:
      break;
  }
  // Not taken and not acknowledged: everything after it is ahead, until the device resends it.
  if (auto ok = outside_.produce(record); !ok) {
    metrics_.pushed_back.Add();
    return {};
  }
  const Ledger::Taken taken = ledger_.Take(record);
  metrics_.gaps.Add(double(taken.gap));
  metrics_.gaps_explained.Add(double(taken.explained));
  return {};
}

void Intake::AskForBirths(const std::string& node_id, Node& node, int64_t now_ms) {
  if (node.asked_ms && now_ms - *node.asked_ms < kRebirthInterval_ms) return;
  node.asked_ms = now_ms;
  metrics_.rebirths.Add();
  outside_.publish(sparkplug::FormatTopic({group_, MessageType::kNodeCommand, node_id, ""}),
                   sparkplug::RebirthRequest(uint64_t(now_ms)));
}

}  // namespace edgeloop::bridge
