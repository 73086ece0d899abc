#include "things/gateway/daemon/options.h"

#include <algorithm>

#include "contracts/ids/ids.h"

namespace edgeloop::gateway {
namespace {

constexpr int64_t kMaxStoreBytes = int64_t{64} << 30;
constexpr double kFirstSegmentSeconds = 60;

void ReadSource(config::Reader& reader, SourceOptions* source) {
  reader.Choice("type", &source->type, {"replay", "motor"}, true);
  reader.Optional("sample_rate_hz", &source->sample_rate_hz,
                  {.min = 0, .max = sensors::kMaxSampleRateHz});
  if (source->type == "replay") {
    reader.Required("dir", &source->dir);
    reader.Optional("file", &source->file);
    reader.Optional("channels", &source->channels, {.min = 0, .max = sensors::kMaxChannels});
  } else {
    reader.Optional("seed", &source->seed, {.min = 0});
    reader.Optional("speed_rpm", &source->speed_rpm, {.min = 0, .max = sensors::kMaxSpeedRpm});
    reader.Optional("load", &source->load, {.min = 0, .max = 1.5});
  }
}

void ReadDevice(config::Reader& reader, GatewayOptions& options) {
  DeviceOptions device;
  reader.Required("id", &device.id);
  if (!device.id.empty() && !IsValidId(device.id)) {
    reader.Fail("id", "must be 1 to 48 characters of a-z, 0-9, '-'");
  }
  if (std::ranges::find(options.devices, device.id, &DeviceOptions::id) != options.devices.end()) {
    reader.Fail("id", "there are two devices of this name");
  }
  reader.Section(
      "source", [&](config::Reader& source) { ReadSource(source, &device.source); }, true);
  reader.Section("actuator", [&](config::Reader& actuator) {
    actuator.Choice("type", &device.actuator.type, {"simulated", "file", "gpio"}, true);
    actuator.Optional("path", &device.actuator.path);
  });
  reader.Required("factory_model", &device.factory_model);
  reader.Section("store", [&](config::Reader& store) {
    store.Optional("max_bytes", &device.store_max_bytes, {.min = 1 << 20, .max = kMaxStoreBytes});
    store.Optional("segment_bytes", &device.store_segment_bytes, {.min = 4'096, .max = 64 << 20});
  });
  if (device.store_max_bytes < 4 * device.store_segment_bytes) {
    reader.Fail("store", "max_bytes must be at least four times segment_bytes");
  }
  reader.Optional("raw_on_alarm", &device.raw_on_alarm);
  options.devices.push_back(std::move(device));
}

}  // namespace

void ReadOptions(config::Reader& reader, GatewayOptions& options) {
  process::ReadCommon(reader, &options.common);
  reader.Required("gateway_id", &options.gateway_id);
  reader.Optional("group_id", &options.group_id);
  for (const auto& [key, id] :
       {std::pair{"gateway_id", &options.gateway_id}, std::pair{"group_id", &options.group_id}}) {
    if (!id->empty() && !IsValidId(*id)) {
      reader.Fail(key, "must be 1 to 48 characters of a-z, 0-9, '-'");
    }
  }
  const auto address = [](std::string* host, int* port) {
    return [host, port](config::Reader& section) {
      section.Optional("host", host);
      section.Required("port", port, {.min = 1, .max = 65'535});
    };
  };
  reader.Section("mqtt", address(&options.mqtt_host, &options.mqtt_port), true);
  reader.Section("registry", address(&options.registry_host, &options.registry_port), true);
  reader.Required("state_dir", &options.state_dir);
  reader.Optional("trusted_keys", &options.trusted_keys);
  reader.Optional("plant_control", &options.plant_control);
  reader.Optional("pace", &options.pace, {.min = 0, .max = 1'000});
  reader.Optional("sync_interval_ms", &options.sync_interval_ms, {.min = 1, .max = 60'000});
  reader.Optional("max_model_bytes", &options.max_model_bytes, {.min = 1'024, .max = 8 << 20});
  reader.List(
      "devices", [&](config::Reader& device) { ReadDevice(device, options); }, true);
  if (options.devices.size() > kMaxDevices) {
    reader.Fail("devices", "a gateway has at most 32 devices");
  }
}

Expected<std::unique_ptr<sensors::Source>> CreateSource(const SourceOptions& options) {
  const auto rate_hz = static_cast<uint32_t>(options.sample_rate_hz);
  if (options.type == "replay") {
    return sensors::CreateReplaySource({.dir = options.dir,
                                        .sample_rate_hz = rate_hz,
                                        .channels = static_cast<uint8_t>(options.channels)});
  }
  sensors::MotorOptions motor;
  motor.seed = static_cast<uint64_t>(options.seed);
  if (rate_hz != 0) motor.sample_rate_hz = rate_hz;
  return sensors::CreateMotorSource(motor);
}

std::vector<sensors::Segment> FirstSegments(const SourceOptions& options) {
  if (options.type == "replay") {
    if (options.file.empty()) return {};
    return {{.id = "first", .content = sensors::ReplaySegment{.file = options.file}}};
  }
  return {{.id = "first",
           .content = sensors::MotorSegment{.seed = static_cast<uint64_t>(options.seed),
                                            .duration_s = kFirstSegmentSeconds,
                                            .speed_rpm = options.speed_rpm,
                                            .load = options.load}}};
}

}  // namespace edgeloop::gateway
