#include "cli/site/service_configs.h"

#include "contracts/topics/topics.h"

namespace edgeloop::site {
namespace {

constexpr const char* kHost = "127.0.0.1";
constexpr const char* kWritten =
    "# Written by `edgeloop up` at each start; change edgeloop.yaml instead.\n";
constexpr int64_t kRetentionBytes = 2ll << 30;  // of a partition; the oldest segments go first

std::string At(const char* key, int port) {
  return std::string(key) + ": {host: " + kHost + ", port: " + std::to_string(port) + "}\n";
}

std::string Bootstrap(int port) {
  return "stream: {bootstrap: " + Quoted(std::string(kHost) + ":" + std::to_string(port)) + "}\n";
}

}  // namespace

std::string ServiceConfigs::Log() const {
  return "log: {level: " + options.log_level + ", format: " + options.log_format + "}\n";
}

std::string ServiceConfigs::Common(const std::string& name, const tls::Files& files) const {
  return kWritten + ("tls: {ca: " + Quoted(files.ca) + ", cert: " + Quoted(files.cert)) +
         ", key: " + Quoted(files.key) + "}\n" + At("health", access.HealthPort(name)) + Log();
}

std::string ServiceConfigs::Common(const std::string& name) const {
  return Common(name, access.layout.Identity(name));
}

std::string ServiceConfigs::Listen(const std::string& name) const {
  return At("listen", access.ListenPort(name));
}

std::string ServiceConfigs::Identity() const {
  // The authority's own certificate is made with the authority.
  const std::string dir = access.layout.Data("identity");
  const tls::Files files = {
      .ca = dir + "/ca.pem", .cert = dir + "/identity.pem", .key = dir + "/identity.key"};
  return Common("identity", files) + Listen("identity") + "state_dir: " + Quoted(dir) + "\n";
}

std::string ServiceConfigs::Stream() const {
  std::string text = Common("stream") + Listen("stream") +
                     "data_dir: " + Quoted(access.layout.Data("stream")) + "\ntopics:\n";
  for (const topics::Stream& topic : topics::kAll) {
    text += "  - {name: " + std::string(topic.name) +
            ", partitions: " + std::to_string(topic.partitions) + ", config: {" +
            (topic.compacted ? "cleanup.policy: compact"
                             : "retention.bytes: " + std::to_string(kRetentionBytes)) +
            "}}\n";
  }
  return text;
}

std::string ServiceConfigs::Registry(const std::string& key_id) const {
  return Common("registry") + Listen("registry") +
         "data_dir: " + Quoted(access.layout.Data("registry")) +
         "\npublishers:\n  - {cn: mlops, key_id: " + Quoted(key_id) +
         ", public_key: " + Quoted(signing_public) + "}\n";
}

std::string ServiceConfigs::Bridge() const {
  return Common("bridge") + "group_id: edgeloop\n" + At("mqtt", access.ListenPort("mosquitto")) +
         Bootstrap(access.ListenPort("stream"));
}

std::string ServiceConfigs::Module() const {
  // It talks to its sidecar alone: no identity, no listener.
  return kWritten + Log() + "socket: " + Quoted(module_socket) + "\n";
}

std::string ServiceConfigs::Sidecar() const {
  return Common("sidecar") + Bootstrap(access.ListenPort("stream")) +
         "socket: " + Quoted(module_socket) +
         "\n"
         // Level 1 has tripped or mostly alarms, level 2 agrees, and the machine matters.
         "rules:\n  - name: machine-fault\n    when: \"(l1_trip > 0 && l2_score > 0.5 || "
         "l1_alarm_fraction > 0.5 && l2_score > 0.6) && criticality >= 0.3\"\n"
         "    severity: critical\n";
}

std::string ServiceConfigs::Mlops(const sensors::RateAndChannels& format) const {
  return Common("mlops") + Listen("mlops") + Bootstrap(access.ListenPort("stream")) +
         At("registry", access.ListenPort("registry")) +
         "state_dir: " + Quoted(access.layout.Data("mlops")) +
         "\nsigning_key: " + Quoted(signing_key) + "\nmodel: {name: " + options.model_name +
         ", sample_rate_hz: " + std::to_string(format.sample_rate_hz) +
         ", channels: " + std::to_string(format.channels) +
         ", window: " + std::to_string(options.window) + ", hop: " + std::to_string(options.hop) +
         "}\n";
}

std::string ServiceConfigs::Gateway(const GatewayOptions& gateway,
                                    const std::string& factory_model) const {
  std::string text =
      Common(gateway.id) + "gateway_id: " + gateway.id + "\ngroup_id: edgeloop\n" +
      At("mqtt", access.ListenPort("mosquitto")) + At("registry", access.ListenPort("registry")) +
      "state_dir: " + Quoted(access.layout.Data(gateway.id)) + "\ntrusted_keys: [" +
      Quoted(signing_public) + "]\nplant_control: " + (options.plant_control ? "true" : "false") +
      "\npace: " + std::to_string(options.pace) + "\ndevices:\n";
  for (const DeviceOptions& device : gateway.devices) {
    text += "  - id: " + device.id + "\n    source: ";
    text += SourceText(device.source);
    text += "\n    actuator: {type: simulated}\n    factory_model: " + Quoted(factory_model) +
            "\n    store: {max_bytes: " + std::to_string(options.store_mib << 20) +
            "}\n    raw_on_alarm: true\n";
  }
  return text;
}

}  // namespace edgeloop::site
