#include "cli/decode/decode.h"

#include <nlohmann/json.hpp>
#include <string>

#include "contracts/events/cloud_event.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"

namespace edgeloop::decode {
namespace {

using nlohmann::json;

constexpr std::string_view kDlqSuffix = ".dlq";

std::string Time(uint64_t ns) { return ns == 0 ? "" : events::FormatTime(ns); }

template <typename Map>
json Values(const Map& map) {
  json out = json::object();
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

template <typename Message>
Expected<Message> Parse(std::string_view value) {
  Message message;
  if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Fail(ErrorCode::kCorrupt,
                "not a " + message.GetTypeName() + " (" + std::to_string(value.size()) + " bytes)");
  }
  return message;
}

std::string KindName(v1::RecordKind kind) {
  switch (kind) {
    case v1::RAW:
      return "raw";
    case v1::FEATURES:
      return "features";
    case v1::ALARM:
      return "alarm";
    case v1::EVENT:
      return "event";
    case v1::LOSS:
      return "loss";
    default:
      return "kind " + std::to_string(static_cast<int>(kind));
  }
}

std::string EventName(v1::DeviceEvent::Type type) {
  switch (type) {
    case v1::DeviceEvent::BOOTED:
      return "booted";
    case v1::DeviceEvent::MODEL_REJECTED:
      return "model rejected";
    case v1::DeviceEvent::MODEL_TRIAL:
      return "model in trial";
    case v1::DeviceEvent::MODEL_CONFIRMED:
      return "model confirmed";
    case v1::DeviceEvent::MODEL_REVERTED:
      return "model reverted";
    case v1::DeviceEvent::CONTACTOR_RESET:
      return "contactor reset";
    default:
      return "event " + std::to_string(static_cast<int>(type));
  }
}

json ToJson(const v1::TelemetryRecord& m) {
  json out = {{"device", m.device()},
              {"boot", m.boot()},
              {"seq", m.seq()},
              {"kind", KindName(m.kind())},
              {"sensed_at", Time(m.sensed_at_ns())}};
  if (m.kind() == v1::FEATURES || m.kind() == v1::ALARM) {
    out["window"] = m.window_index();
    out["score"] = m.score();
    out["alarm"] = m.alarm();
    out["trip"] = m.trip();
    out["actuator_open"] = m.actuator_open();
    out["model_version"] = m.model_version();
    out["model_digest"] = m.model_digest();
  }
  if (m.kind() == v1::ALARM) out["actuation_latency_us"] = m.actuation_latency_us();
  for (int i = 0; i < m.features_size() && i < m.feature_names_size(); ++i) {
    out["features"][m.feature_names(i)] = m.features(i);
  }
  if (m.has_raw()) {
    out["raw"] = {{"channels", m.raw().channels()}, {"bytes", m.raw().samples_f32le().size()}};
  }
  if (m.has_event()) {
    out["event"] = {{"type", EventName(m.event().type())},
                    {"model_version", m.event().model_version()},
                    {"model_digest", m.event().model_digest()},
                    {"reason", m.event().reason()},
                    {"command_id", m.event().command_id()}};
  }
  if (m.has_loss()) {
    out["loss"] = {{"first_seq", m.loss().first_seq()},
                   {"last_seq", m.loss().last_seq()},
                   {"raw", m.loss().raw()},
                   {"features", m.loss().features()},
                   {"alarms", m.loss().alarms()}};
  }
  return out;
}

json ToJson(const v1::Context& m) {
  return {{"device", m.device()},
          {"at", Time(m.at_ns())},
          {"machine", m.machine()},
          {"criticality", m.criticality()},
          {"values", Values(m.values())}};
}

json ToJson(const v1::Inference& m) {
  return {{"device", m.device()},
          {"at", Time(m.at_ns())},
          {"sensed_at", Time(m.sensed_at_ns())},
          {"module", m.module()},
          {"score", m.score()},
          {"evidence", Values(m.evidence())},
          {"explanation", m.explanation()}};
}

json ToJson(const v1::Alert& m) {
  return {{"alert_id", m.alert_id()},
          {"device", m.device()},
          {"rule", m.rule()},
          {"severity", m.severity()},
          {"at", Time(m.at_ns())},
          {"sensed_at", Time(m.sensed_at_ns())},
          {"data_age_ms", m.data_age_ms()},
          {"evidence", Values(m.evidence())},
          {"text", m.text()},
          {"cleared", m.cleared()}};
}

json ToJson(const v1::Command& m) {
  json out = {{"command_id", m.command_id()},
              {"device", m.device()},
              {"at", Time(m.at_ns())},
              {"issued_by", m.issued_by()}};
  if (m.has_update_model()) {
    out["update_model"] = {{"name", m.update_model().name()},
                           {"version", m.update_model().version()},
                           {"digest", m.update_model().digest()},
                           {"size", m.update_model().size()},
                           {"key_id", m.update_model().key_id()}};
  }
  if (m.has_reset_contactor()) out["reset_contactor"] = json::object();
  return out;
}

json ToJson(const v1::ModelEvent& m) {
  static constexpr const char* kTypes[] = {"?", "published", "aliased", "rolled out", "reverted"};
  const size_t type = static_cast<size_t>(m.type());
  return {{"type", type < std::size(kTypes) ? kTypes[type] : "?"},
          {"name", m.name()},
          {"version", m.version()},
          {"digest", m.digest()},
          {"alias", m.alias()},
          {"at", Time(m.at_ns())},
          {"by", m.by()},
          {"snapshot", m.snapshot()}};
}

json ToJson(const v1::PipelineEvent& m) {
  static constexpr const char* kStates[] = {"?", "started", "succeeded", "failed", "skipped"};
  const size_t state = static_cast<size_t>(m.state());
  return {{"run", m.run()},
          {"step", m.step()},
          {"state", state < std::size(kStates) ? kStates[state] : "?"},
          {"at", Time(m.at_ns())},
          {"reason", m.reason()},
          {"figures", Values(m.figures())},
          {"model", m.model_name()},
          {"version", m.model_version()},
          {"features", std::vector<std::string>(m.features().begin(), m.features().end())}};
}

json ToJson(const v1::Label& m) {
  json intervals = json::array();
  for (const auto& interval : m.intervals()) {
    intervals.push_back(
        {{"device", interval.device()},
         {"from", Time(interval.from_ns())},
         {"to", Time(interval.to_ns())},
         {"label", interval.label()},
         {"faulty", interval.faulty()},
         {"purpose", interval.purpose() == v1::Label::VALIDATION ? "validation" : "training"}});
  }
  return {{"submission", m.submission()},
          {"operator", m.operator_name()},
          {"at", Time(m.at_ns())},
          {"intervals", intervals}};
}

json ToJson(const v1::Positions& m) {
  json out = {
      {"at", Time(m.at_ns())}, {"devices", json::object()}, {"telemetry_offsets", json::object()}};
  for (const auto& [device, position] : m.devices()) {
    out["devices"][device] = {{"boot", position.boot()}, {"seq", position.seq()}};
  }
  for (const auto& [partition, offset] : m.telemetry_offsets()) {
    out["telemetry_offsets"][std::to_string(partition)] = offset;
  }
  return out;
}

template <typename Message>
Expected<json> As(std::string_view value) {
  auto message = Parse<Message>(value);
  if (!message) return Fail(message.error());
  return ToJson(*message);
}

}  // namespace

Expected<json> Decode(std::string_view topic, std::string_view value) {
  if (topic == topics::kTelemetry) return As<v1::TelemetryRecord>(value);
  if (topic == topics::kContext) return As<v1::Context>(value);
  if (topic == topics::kInferences) return As<v1::Inference>(value);
  if (topic == topics::kAlerts) return As<v1::Alert>(value);
  if (topic == topics::kCommands) return As<v1::Command>(value);
  if (topic == topics::kModels) return As<v1::ModelEvent>(value);
  if (topic == topics::kPipelines) return As<v1::PipelineEvent>(value);
  if (topic == topics::kLabels) return As<v1::Label>(value);
  if (topic == topics::kPositions) return As<v1::Positions>(value);
  if (topic.ends_with(kDlqSuffix)) return json{{"bytes", value.size()}};
  return Fail(ErrorCode::kNotFound, "no message type is known for the topic " + std::string(topic));
}

}  // namespace edgeloop::decode
