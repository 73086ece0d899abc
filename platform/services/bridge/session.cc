#include "platform/services/bridge/session.h"

#include <algorithm>
#include <chrono>

#include "contracts/events/cloud_event.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "platform/services/bridge/recovery.h"
#include "runtime/log/log.h"

namespace edgeloop::bridge {
namespace {

using namespace std::chrono_literals;
using sparkplug::MessageType;
using std::chrono::steady_clock;

// An acknowledgement tells all before it too: one in this time a device is enough.
constexpr auto kAckInterval = 200ms;
constexpr auto kCheckpointInterval = 5s;
constexpr auto kStreamPatience = 10s;
// A record may wait as long as the stream is away (librdkafka's maximum, 24 days): what has been
// taken is given up only together with the whole session.
constexpr int kDeliveryTimeout_ms = 2'147'483'647;
constexpr std::string_view kCheckpointKey = "bridge";

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}
int64_t NowMs() { return NowNs() / 1'000'000; }

}  // namespace

Session::Session(const SessionOptions& options, Recovered recovered, BridgeMetrics& metrics)
    : options_(options),
      metrics_(metrics),
      ledger_(std::move(recovered)),
      intake_(
          options.group_id, ledger_, metrics,
          {.produce = [this](const v1::TelemetryRecord& record) { return Produce(record); },
           .dead_letter = [this](std::string_view topic, std::string_view payload,
                                 std::string_view reason) { DeadLetter(topic, payload, reason); },
           .publish =
               [this](std::string_view topic, std::string_view payload) {
                 // Lost with the connection; the next message asks again.
                 (void)mqtt_->Publish(topic, payload, 0);
               }}) {}

Expected<std::unique_ptr<Session>> Session::Start(const SessionOptions& options,
                                                  BridgeMetrics& metrics) {
  if (auto ok = CreateMissingTopics(options.stream); !ok) return Fail(ok.error());
  auto recovered = Recover(options.stream, kStreamPatience);
  if (!recovered) return Fail(recovered.error(), "recovery");
  std::unique_ptr<Session> session(new Session(options, std::move(*recovered), metrics));
  if (auto ok = session->Connect(); !ok) return Fail(ok.error());
  return session;
}

Status Session::CreateMissingTopics(const kafka::ConnectionOptions& connection) {
  auto admin = kafka::Admin::Create(connection);
  if (!admin) return Fail(admin.error());
  const auto present = (*admin)->ListTopics(kStreamPatience);
  if (!present) return Fail(present.error(), "topics of the stream");
  for (const topics::Stream& stream : topics::kAll) {
    if (std::ranges::find(*present, stream.name, &kafka::TopicInfo::name) != present->end()) {
      continue;
    }
    std::vector<std::pair<std::string, std::string>> config;
    if (stream.compacted) config.emplace_back("cleanup.policy", "compact");
    if (auto ok = (*admin)->CreateTopic(stream.name, stream.partitions, config, kStreamPatience);
        !ok) {
      return Fail(ok.error(), "topic " + std::string(stream.name));
    }
  }
  return {};
}

Status Session::Connect() {
  auto producer = kafka::Producer::Create({.connection = options_.stream,
                                           .queue_messages = options_.queue_messages,
                                           .queue_kib = options_.queue_kib,
                                           .delivery_timeout_ms = kDeliveryTimeout_ms});
  if (!producer) return Fail(producer.error());
  producer_ = std::move(*producer);
  auto commands = kafka::Consumer::Create({.connection = options_.stream, .group = "bridge"});
  if (!commands) return Fail(commands.error());
  commands_ = std::move(*commands);
  if (auto ok = commands_->Subscribe({std::string(topics::kCommands)}); !ok) return ok;

  const std::string state_topic = "spBv1.0/STATE/" + options_.group_id + "-bridge";
  // Sparkplug host application state (specification section 6.4.23), with the connection's time.
  const auto state = [](bool online, int64_t at_ms) {
    return std::string(R"({"online":)") + (online ? "true" : "false") + R"(,"timestamp":)" +
           std::to_string(at_ms) + "}";
  };
  auto mqtt =
      mqtt::Client::Create({.host = options_.mqtt_host,
                            .port = options_.mqtt_port,
                            .tls = options_.mqtt_tls,
                            .client_id = options_.stream.client_id,
                            .max_payload_bytes = sparkplug::kMaxPayloadBytes,
                            .will = [=]() -> std::optional<mqtt::Will> {
                              return mqtt::Will{state_topic, state(false, NowMs()), 1, true};
                            },
                            .on_connected =
                                [=, this] {
                                  Subscribe();
                                  (void)mqtt_->Publish(state_topic, state(true, NowMs()), 1, true);
                                  log::Info("connected to MQTT", {});
                                },
                            .on_disconnected =
                                [this](std::string_view reason) {
                                  forget_births_ = true;
                                  log::Warning("disconnected from MQTT", {{"reason", reason}});
                                },
                            .on_message =
                                [this](std::string_view topic, std::string_view payload) {
                                  if (closed_) return;
                                  if (forget_births_.exchange(false)) intake_.Forget();
                                  intake_.Receive(topic, payload, NowMs());
                                }});
  if (!mqtt) return Fail(mqtt.error());
  mqtt_ = std::move(*mqtt);
  if (auto ok = mqtt_->Start(); !ok) return ok;
  reporter_ = std::thread([this] { Report(); });
  forwarder_ = std::thread([this] { ForwardCommands(); });
  return {};
}

Session::~Session() {
  if (reporter_.joinable()) {
    closed_ = true;
    if (auto ok = producer_->Flush(3s); !ok) {
      log::Warning("records not acknowledged at the end; devices will resend them",
                   {{"reason", ok.error().message()}});
    }
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (reporter_.joinable()) reporter_.join();
  if (forwarder_.joinable()) forwarder_.join();
  if (mqtt_) mqtt_->Stop();
  if (producer_) {
    (void)producer_->Flush(1s);  // the last checkpoint
    failed_ = true;              // what is left is given up, quietly
    producer_.reset();           // its callbacks use this object
  }
}

void Session::Subscribe() {
  for (const MessageType type :
       {MessageType::kNodeBirth, MessageType::kNodeDeath, MessageType::kNodeData,
        MessageType::kDeviceBirth, MessageType::kDeviceDeath, MessageType::kDeviceData}) {
    const std::string filter = sparkplug::TopicFilter(options_.group_id, type);
    if (auto ok = mqtt_->Subscribe(filter, type == MessageType::kNodeDeath ? 1 : 0); !ok) {
      log::Warning("cannot subscribe", {{"filter", filter}, {"reason", ok.error().message()}});
    }
  }
}

void Session::GiveUp(const Error& error) {
  closed_ = true;
  if (failed_.exchange(true)) return;
  log::Error("cannot go on without a new recovery", {{"reason", error.ToString()}});
}

void Session::Wake() {
  { const std::lock_guard lock(mutex_); }  // a waiter is either before its check or asleep
  changed_.notify_all();
}

Status Session::Produce(const v1::TelemetryRecord& record) {
  const RecordPosition position{record.boot(), record.seq()};
  const std::string value = record.SerializeAsString();
  events::CloudEvent event{.id = record.device() + ":" + std::to_string(record.boot()) + ":" +
                                 std::to_string(record.seq()),
                           .source = "/devices/" + record.device(),
                           .type = "edgeloop.v1.TelemetryRecord",
                           .time_ns = record.sensed_at_ns()};
  return producer_->Produce(
      {.topic = topics::kTelemetry,
       .key = record.device(),
       .value = value,
       .headers = events::ToHeaders(event)},
      [this, device = record.device(), position,
       sensed_at_ns = record.sensed_at_ns()](Expected<kafka::Position> delivered) {
        if (!delivered) {
          // Records after it may have arrived: what is in the stream is known only to the stream.
          GiveUp(delivered.error().In("record not delivered"));
          return;
        }
        if (failed_) return;
        ledger_.Durable(device, position, delivered->partition, delivered->offset);
        metrics_.records_out.Add();
        metrics_.data_age_s.Observe(double(NowNs() - int64_t(sensed_at_ns)) / 1e9);
        Wake();
      });
}

void Session::DeadLetter(std::string_view topic, std::string_view payload,
                         std::string_view reason) {
  const Status ok = producer_->Produce({.topic = topics::kTelemetryDlq,
                                        .key = topic,
                                        .value = payload,
                                        .headers = {{"reason", std::string(reason)}}});
  if (!ok) log::Warning("no room for a dead letter", {{"topic", topic}});
}

void Session::Report() {
  auto next_checkpoint = steady_clock::now() + kCheckpointInterval;
  bool stopping = false;
  while (!stopping) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, next_checkpoint,
                          [this] { return stopping_ || ledger_.HasDueAcks(); });
      stopping = stopping_;
    }
    SendAcks();
    if (steady_clock::now() >= next_checkpoint || stopping) {
      WriteCheckpoint();
      next_checkpoint = steady_clock::now() + kCheckpointInterval;
    }
    if (!stopping) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kAckInterval, [this] { return stopping_; });
    }
  }
}

void Session::SendAcks() {
  for (const Ledger::Ack& ack : ledger_.DueAcks()) {
    const auto device = DeviceId::Parse(ack.device);
    if (!device) continue;
    const std::string topic =
        sparkplug::FormatTopic({options_.group_id, MessageType::kDeviceCommand,
                                std::string(device->gateway()), std::string(device->device())});
    // One that is lost is due again when the device resends.
    if (mqtt_->Publish(topic, sparkplug::Acknowledgement(ack.position, uint64_t(NowMs())), 1)) {
      metrics_.acks.Add();
    }
  }
}

void Session::WriteCheckpoint() {
  // One at a time, so that they do not pile up while the stream is away.
  if (checkpoint_on_its_way_) return;
  v1::Positions positions;
  if (!ledger_.Checkpoint(&positions)) return;
  positions.set_at_ns(uint64_t(NowNs()));
  checkpoint_on_its_way_ = true;
  const auto failed = [this](const Error& error) {
    checkpoint_on_its_way_ = false;
    ledger_.CheckpointFailed();
    log::Warning("positions not written", {{"reason", error.message()}});
  };
  const std::string value = positions.SerializeAsString();
  const Status queued = producer_->Produce(
      {.topic = topics::kPositions, .key = kCheckpointKey, .value = value, .headers = {}},
      [this, failed](Expected<kafka::Position> written) {
        if (!written) return failed(written.error());
        checkpoint_on_its_way_ = false;
      });
  if (!queued) failed(queued.error());
}

void Session::ForwardCommands() {
  const auto stopping = [this] {
    const std::lock_guard lock(mutex_);
    return stopping_;
  };
  while (!stopping()) {
    auto record = commands_->Poll(500ms);
    if (!record) {
      GiveUp(record.error().In("edgeloop.commands"));
      return;
    }
    if (!record->has_value()) continue;
    while (!SendCommand(**record)) {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, 500ms, [this] { return stopping_; })) return;
    }
    if (auto ok = commands_->Commit(**record); !ok) {
      // Sent again by the next bridge; devices know commands by their id.
      log::Warning("command not committed", {{"reason", ok.error().message()}});
    }
  }
}

// False when it has to be tried again.
bool Session::SendCommand(const kafka::Record& record) {
  v1::Command command;
  if (!command.ParseFromString(record.value)) {
    log::Warning("command does not parse, skipped", {{"offset", record.offset}});
    return true;
  }
  const auto device = DeviceId::Parse(command.device());
  if (!device || command.command_id().empty()) {
    log::Warning("command without a proper device and id, skipped", {{"offset", record.offset}});
    return true;
  }
  const std::string topic =
      sparkplug::FormatTopic({options_.group_id, MessageType::kDeviceCommand,
                              std::string(device->gateway()), std::string(device->device())});
  if (!mqtt_->Publish(topic, sparkplug::DeviceCommand(command, uint64_t(NowMs())), 1)) return false;
  metrics_.commands.Add();
  log::Info("command sent", {{"command", command.command_id()}, {"device", command.device()}});
  return true;
}

}  // namespace edgeloop::bridge
