#include "cli/site/service_configs.h"

namespace edgeloop::site {
namespace {

constexpr const char* kHost = "127.0.0.1";

std::string Number(double value) {
  std::string text = std::to_string(value);
  return text;
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += std::string("\\x") + kHex[(c >> 4) & 15] + kHex[c & 15];
      continue;
    }
    out += c;
  }
  return out + "\"";
}

std::string ServiceConfigs::Common(const std::string& name) const {
  const tls::Files files = access.layout.Identity(name);
  return "# Written by `edgeloop up` at each start; change edgeloop.yaml instead.\n"
         "tls: {ca: " +
         Quoted(files.ca) + ", cert: " + Quoted(files.cert) + ", key: " + Quoted(files.key) +
         "}\n" + "health: {host: " + kHost + ", port: " + std::to_string(access.HealthPort(name)) +
         "}\n" + "log: {level: " + options.log_level + ", format: " + options.log_format + "}\n";
}

std::string ServiceConfigs::Listen(const std::string& name) const {
  return std::string("listen: {host: ") + kHost +
         ", port: " + std::to_string(access.ListenPort(name)) + "}\n";
}

namespace {

std::string At(const char* key, int port) {
  return std::string(key) + ": {host: " + kHost + ", port: " + std::to_string(port) + "}\n";
}

std::string Bootstrap(int port) {
  return std::string("stream: {bootstrap: \"") + kHost + ":" + std::to_string(port) + "\"}\n";
}

}  // namespace

std::string ServiceConfigs::Identity() const {
  return Common("identity") + Listen("identity") +
         "state_dir: " + Quoted(access.layout.Data("identity")) + "\n";
}

std::string ServiceConfigs::Stream() const {
  return Common("stream") + Listen("stream") + "data_dir: " + Quoted(access.layout.Data("stream")) +
         "\n";
}

std::string ServiceConfigs::Registry(const std::string& key_id) const {
  return Common("registry") + Listen("registry") +
         "data_dir: " + Quoted(access.layout.Data("registry")) + "\n" +
         "publishers:\n  - {cn: mlops, key_id: " + Quoted(key_id) +
         ", public_key: " + Quoted(signing_public) + "}\n";
}

std::string ServiceConfigs::Bridge() const {
  return Common("bridge") + "group_id: edgeloop\n" + At("mqtt", access.ListenPort("mosquitto")) +
         Bootstrap(access.ListenPort("stream"));
}

std::string ServiceConfigs::Module() const {
  return Common("module") + "socket: " + Quoted(module_socket) + "\n";
}

std::string ServiceConfigs::Sidecar() const {
  return Common("sidecar") + Bootstrap(access.ListenPort("stream")) +
         "socket: " + Quoted(module_socket) + "\n";
}

std::string ServiceConfigs::Mlops() const {
  return Common("mlops") + Listen("mlops") + Bootstrap(access.ListenPort("stream")) +
         At("registry", access.ListenPort("registry")) +
         "state_dir: " + Quoted(access.layout.Data("mlops")) + "\n" +
         "signing_key: " + Quoted(signing_key) + "\n" + "model: {name: " + options.model_name +
         ", window: " + std::to_string(options.window) + ", hop: " + std::to_string(options.hop) +
         "}\n";
}

std::string ServiceConfigs::Gateway(const GatewayOptions& gateway,
                                    const std::vector<std::string>& factory_models) const {
  std::string text = Common(gateway.id) + "gateway_id: " + gateway.id + "\ngroup_id: edgeloop\n" +
                     At("mqtt", access.ListenPort("mosquitto")) +
                     At("registry", access.ListenPort("registry")) +
                     "state_dir: " + Quoted(access.layout.Data(gateway.id)) + "\n" +
                     "trusted_keys: [" + Quoted(signing_public) + "]\n" +
                     "plant_control: " + (options.plant_control ? "true" : "false") + "\n" +
                     "pace: " + Number(options.pace) + "\ndevices:\n";
  for (size_t i = 0; i < gateway.devices.size(); ++i) {
    const DeviceOptions& device = gateway.devices[i];
    text += "  - id: " + device.id + "\n    source: {";
    for (const auto& [key, value] : device.source) {
      if (!text.ends_with('{')) text += ", ";
      text += key + ": " + Quoted(value);
    }
    text += "}\n    actuator: {type: simulated}\n    factory_model: " + Quoted(factory_models[i]) +
            "\n    store: {max_bytes: " + std::to_string(options.store_mib << 20) +
            "}\n    raw_on_alarm: true\n";
  }
  return text;
}

}  // namespace edgeloop::site
