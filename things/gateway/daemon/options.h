// The configuration of edgeloop-gateway.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/config/config.h"
#include "runtime/process/daemon.h"
#include "things/gateway/actuate/actuator.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::gateway {

inline constexpr size_t kMaxDevices = 32;  // of one gateway

struct SourceOptions {
  std::string type = "motor";  // or replay
  // replay
  std::string dir;
  std::string file;  // played in a loop from the start; empty: silent until the plant is directed
  int channels = 0;
  // both; 0: the default of the source
  int sample_rate_hz = 0;
  // motor: runs healthy from the start
  int64_t seed = 1;
  double speed_rpm = 0;  // 0: straight from the supply
  double load = 0.5;
};

struct DeviceOptions {
  std::string id;
  SourceOptions source;
  ActuatorOptions actuator;
  std::string factory_model;
  int64_t store_max_bytes = 32 << 20;
  int64_t store_segment_bytes = 256 << 10;
  bool raw_on_alarm = false;
};

struct GatewayOptions {
  process::CommonOptions common;
  std::string gateway_id;
  std::string group_id = "edgeloop";
  std::string mqtt_host = "127.0.0.1";
  int mqtt_port = 8883;
  std::string registry_host = "127.0.0.1";
  int registry_port = 0;
  std::string state_dir;
  std::vector<std::string> trusted_keys;
  bool plant_control = false;
  double pace = 1.0;
  int sync_interval_ms = 200;
  int64_t max_model_bytes = 4 << 20;
  std::vector<DeviceOptions> devices;
};

void ReadOptions(config::Reader& reader, GatewayOptions& options);

Expected<std::unique_ptr<sensors::Source>> CreateSource(const SourceOptions& options);
// What a source plays until somebody directs it, in a loop; empty: nothing.
std::vector<sensors::Segment> FirstSegments(const SourceOptions& options);

}  // namespace edgeloop::gateway
