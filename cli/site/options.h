// What runs on this machine: edgeloop.yaml, or its defaults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::site {

inline constexpr int kMaxGateways = 32;
inline constexpr int kMaxDevices = 256;  // in all

struct DeviceOptions {
  std::string id;
  // Given to the gateway as they are, e.g. {type, replay}, {dir, /data}. Checked there.
  std::vector<std::pair<std::string, std::string>> source;
};

struct GatewayOptions {
  std::string id;
  std::vector<DeviceOptions> devices;
};

struct Options {
  std::string binaries;  // folder of the daemons
  std::string mosquitto = "mosquitto";
  std::string log_level = "info";
  std::string log_format = "text";
  double pace = 1.0;  // of simulated and replayed sources: 1 real time, 0 as fast as possible
  bool plant_control = true;  // an operator may direct simulated and replayed sources
  // The level-1 model; its rate and channels are those of the sources.
  std::string model_name = "motor";
  int64_t window = 2048;   // frames
  int64_t hop = 512;       // frames
  int64_t store_mib = 32;  // of each device
  std::vector<GatewayOptions> gateways;
};

// `devices` devices named motor-01.. over gateways gw-01.., two a gateway, all with one source.
std::vector<GatewayOptions> Fleet(int devices,
                                  const std::vector<std::pair<std::string, std::string>>& source);

// A YAML scalar in double quotes; `Scalar` leaves numbers as they are.
std::string Quoted(std::string_view text);
std::string Scalar(std::string_view text);
// {type: "motor", seed: 7}
std::string SourceText(const std::vector<std::pair<std::string, std::string>>& source);

// The folder of the running executable: the daemons lie beside it.
std::string OwnFolder();

Options DefaultOptions();
Expected<Options> LoadOptions(const std::string& path);
// As an edgeloop.yaml that gives the same options again.
std::string ConfigText(const Options& options);
// A commented edgeloop.yaml with the defaults.
std::string SampleConfig();

}  // namespace edgeloop::site
