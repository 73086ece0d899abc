#include "things/gateway/daemon/gateway.h"

#include <algorithm>
#include <utility>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/http/client.h"
#include "runtime/log/log.h"

namespace edgeloop::gateway {
namespace {

constexpr int kDownloadTimeoutMs = 5'000;  // also how long a stop may take

}  // namespace

Expected<std::unique_ptr<Gateway>> Gateway::Create(GatewayOptions options,
                                                   metrics::Registry& metrics) {
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), metrics));
  const GatewayOptions& o = gateway->options_;
  auto verifier = signing::Verifier::Load(o.trusted_keys);
  if (!verifier) return Fail(verifier.error(), "trusted_keys");
  gateway->verifier_ = std::make_unique<signing::Verifier>(std::move(*verifier));
  auto sets = FeatureSets::Load(fs::PosixFileSystem(), o.state_dir + "/feature-sets");
  if (!sets) return Fail(sets.error());
  gateway->feature_sets_ = std::move(*sets);
  auto node = EdgeNode::Create({.group_id = o.group_id,
                                .gateway_id = o.gateway_id,
                                .mqtt_host = o.mqtt_host,
                                .mqtt_port = o.mqtt_port,
                                .tls = o.common.tls,
                                .sync_interval_ms = o.sync_interval_ms},
                               *gateway->feature_sets_, metrics);
  if (!node) return Fail(node.error());
  gateway->node_ = std::move(*node);
  for (const DeviceOptions& device : o.devices) {
    if (Status status = gateway->AddDevice(device); !status) {
      return Fail(status.error(), "device " + device.id);
    }
  }
  return gateway;
}

Status Gateway::AddDevice(const DeviceOptions& options) {
  fs::FileSystem& fs = fs::PosixFileSystem();
  Device& device = *devices_.emplace_back(std::make_unique<Device>());
  device.options = &options;
  device.index = devices_.size() - 1;
  auto id = DeviceId::Create(options_.gateway_id, options.id);
  if (!id) return Fail(id.error());
  device.id = *id;
  const std::string dir = options_.state_dir + "/devices/" + options.id;

  auto source = CreateSource(options.source);
  if (!source) return Fail(source.error());
  device.source = std::move(*source);
  const sensors::Format format = device.source->format();
  auto actuator = CreateActuator(options.actuator);
  if (!actuator) return Fail(actuator.error());
  device.actuator = std::move(*actuator);
  auto store =
      RecordStore::Open(fs, {.dir = dir + "/store",
                             .max_bytes = static_cast<uint64_t>(options.store_max_bytes),
                             .segment_bytes = static_cast<uint64_t>(options.store_segment_bytes),
                             .now_ns = [] { return SystemClock().UnixNs(); },
                             .on_append = [this](bool at_once) { node_->Wake(at_once); }});
  if (!store) return Fail(store.error());
  device.store = std::move(*store);
  auto resets = ResetLog::Load(fs, dir + "/resets");
  if (!resets) return Fail(resets.error());
  device.resets = std::make_unique<ResetLog>(std::move(*resets));

  auto agent = UpdateAgent::Create(
      {.dir = dir + "/model",
       .factory_model_path = options.factory_model,
       .sample_rate_hz = format.sample_rate_hz,
       .channels = format.channels,
       .max_model_bytes = static_cast<uint64_t>(options_.max_model_bytes)},
      {.fs = fs,
       .verifier = *verifier_,
       .fetch = [this](const std::string& digest,
                       uint64_t max_bytes) { return Fetch(digest, max_bytes); },
       .start_trial =
           [this, &device](std::unique_ptr<LoadedModel> candidate, auto done) {
             Status status = feature_sets_->Add(candidate->digest(), candidate->feature_names());
             if (!status) {
               log::Error("feature names not kept", {{"error", status.error().message()}});
             }
             device.loop->StartTrial(std::move(candidate), std::move(done));
           },
       .end_trial = [&device](bool promote) { device.loop->EndTrial(promote); },
       .emit = [this, &device](const UpdateAnswer& answer) { Emit(device, answer); }});
  if (!agent) return Fail(agent.error());
  device.agent = std::move(*agent);
  auto confirmed = device.agent->LoadConfirmed();
  if (!confirmed) return Fail(confirmed.error());
  const std::vector<std::string> feature_names = (*confirmed)->feature_names();
  if (Status status = feature_sets_->Add((*confirmed)->digest(), feature_names); !status) {
    return status;
  }
  auto loop = DeviceLoop::Create({.device_id = options.id,
                                  .pace = options_.pace,
                                  .raw_on_alarm = options.raw_on_alarm,
                                  .latch_path = dir + "/tripped"},
                                 {.source = *device.source,
                                  .actuator = *device.actuator,
                                  .store = *device.store,
                                  .fs = fs,
                                  .clock = SystemClock(),
                                  .metrics = metrics_},
                                 std::move(*confirmed));
  if (!loop) return Fail(loop.error());
  device.loop = std::move(*loop);
  return node_->AddDevice(
      {.id = device.id,
       .store = device.store.get(),
       .feature_names = feature_names,
       .model_state = [&device] { return device.agent->state_name(); },
       .on_command = [this, &device](std::string_view bytes) { OnCommand(device, bytes); }});
}

Gateway::~Gateway() { Stop(); }

Status Gateway::Start() {
  started_ = true;
  for (auto& device : devices_) {
    auto first = FirstSegments(device->options->source);
    if (!first.empty()) device->loop->Play(std::move(first), true);
    device->loop->Start();
    device->agent->Start();
  }
  return node_->Start();
}

void Gateway::Stop() {
  if (!std::exchange(started_, false)) return;
  for (auto& device : devices_) device->loop->Stop();
  for (auto& device : devices_) device->agent->Stop();
  node_->Stop();
}

Status Gateway::Ready() const {
  if (node_->connected()) return {};
  return Fail(ErrorCode::kUnavailable, "not connected to the MQTT broker");
}

Expected<std::string> Gateway::Fetch(const std::string& digest, uint64_t max_bytes) const {
  auto client = http::Client::Create({.host = options_.registry_host,
                                      .port = options_.registry_port,
                                      .tls = options_.common.tls,
                                      .timeout_ms = kDownloadTimeoutMs,
                                      .max_body_bytes = static_cast<size_t>(max_bytes)});
  if (!client) return Fail(client.error());
  return (*client)->Call("GET", "/v1/blobs/" + digest);
}

void Gateway::OnCommand(Device& device, std::string_view bytes) {
  auto command = DecodeCommand(bytes, device.id);
  if (!command) {
    log::Warning("command refused",
                 {{"device", device.id.text()}, {"error", command.error().message()}});
    return;
  }
  if (auto* update = std::get_if<UpdateRequest>(&*command)) {
    device.agent->Request(std::move(*update));
    return;
  }
  const std::string& command_id = std::get<ResetRequest>(*command).command_id;
  if (device.resets->Done(command_id)) {
    Emit(device, {.command_id = command_id, .event_type = v1::DeviceEvent::CONTACTOR_RESET});
    return;
  }
  device.loop->ResetContactor(command_id);
  if (Status status = device.resets->Add(command_id); !status) {
    log::Error("reset not remembered", {{"error", status.error().message()}});
  }
}

void Gateway::Emit(Device& device, const UpdateAnswer& answer) {
  const LoopStatus loop = device.loop->status();
  v1::TelemetryRecord record;
  record.set_sensed_at_ns(SystemClock().UnixNs());
  record.set_model_digest(loop.model_digest);
  record.set_model_version(loop.model_version);
  record.set_actuator_open(loop.contactor_open);
  v1::DeviceEvent& event = *record.mutable_event();
  event.set_type(static_cast<v1::DeviceEvent::Type>(answer.event_type));
  event.set_model_digest(answer.digest);
  event.set_model_version(answer.version);
  event.set_reason(answer.reason);
  event.set_command_id(answer.command_id);
  device.store->Append(Kind::kEvent, record.SerializeAsString());
}

Gateway::Device* Gateway::Find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(devices_, [&](const auto& d) { return d->id.device() == name; });
  return found == devices_.end() ? nullptr : found->get();
}

}  // namespace edgeloop::gateway
