#include "cli/site/options.h"

#include <algorithm>
#include <filesystem>

#include "contracts/ids/ids.h"
#include "runtime/config/config.h"

namespace edgeloop::site {
namespace {

using Source = std::vector<std::pair<std::string, std::string>>;

constexpr int kDevicesPerGateway = 2;
constexpr int kDefaultDevices = 4;
constexpr size_t kMaxSourceKeys = 32;
constexpr const char* kIdRule = "an id is 1..48 characters of a-z, 0-9 and -";

std::string Numbered(const char* stem, int number) {
  return std::string(stem) + (number < 10 ? "0" : "") + std::to_string(number);
}

Source SimulatedMotor() { return {{"type", "motor"}}; }

void ReadSource(config::Reader& reader, Source* source) {
  if (!reader.Has("source")) return;
  source->clear();
  reader.StringMap("source", source);
  if (source->size() > kMaxSourceKeys) reader.Fail("source", "has more than 32 keys");
}

// A valid id that none of `others` has.
template <typename T>
void ReadId(config::Reader& reader, const std::vector<T>& others, std::string* id) {
  reader.Required("id", id);
  if (!IsValidId(*id)) reader.Fail("id", kIdRule);
  if (std::ranges::any_of(others, [&](const T& other) { return other.id == *id; })) {
    reader.Fail("id", "'" + *id + "' is there twice");
  }
}

void Read(config::Reader& reader, Options& options) {
  reader.Optional("binaries", &options.binaries);
  reader.Optional("mosquitto", &options.mosquitto);
  reader.Section("log", [&](config::Reader& log) {
    log.Choice("level", &options.log_level, {"debug", "info", "warning", "error"});
    log.Choice("format", &options.log_format, {"text", "json"});
  });
  reader.Optional("pace", &options.pace, {.min = 0, .max = 1000});
  reader.Optional("plant_control", &options.plant_control);
  reader.Section("model", [&](config::Reader& model) {
    model.Optional("name", &options.model_name);
    if (!IsValidId(options.model_name)) model.Fail("name", kIdRule);
    model.Optional("window", &options.window, {.min = 256, .max = 8192});
    if (options.window & (options.window - 1)) model.Fail("window", "is not a power of two");
    model.Optional("hop", &options.hop, {.min = 1, .max = options.window});
  });
  reader.Optional("store_mib", &options.store_mib, {.min = 1, .max = 65'536});

  Source source = SimulatedMotor();
  ReadSource(reader, &source);
  int devices = kDefaultDevices;
  reader.Optional("devices", &devices, {.min = 1, .max = kMaxDevices});
  if (!reader.Has("gateways")) {
    options.gateways = Fleet(devices, source);
    return;
  }
  if (reader.Has("devices")) reader.Fail("devices", "give either devices or gateways, not both");
  options.gateways.clear();
  size_t total = 0;
  reader.List("gateways", [&](config::Reader& entry) {
    GatewayOptions gateway;
    ReadId(entry, options.gateways, &gateway.id);
    entry.List(
        "devices",
        [&](config::Reader& item) {
          DeviceOptions device{.id = "", .source = source};
          ReadId(item, gateway.devices, &device.id);
          ReadSource(item, &device.source);
          gateway.devices.push_back(std::move(device));
        },
        true);
    total += gateway.devices.size();
    options.gateways.push_back(std::move(gateway));
    if (options.gateways.size() > kMaxGateways || total > kMaxDevices) {
      entry.Fail("id", "one machine runs at most 32 gateways and 256 devices");
    }
  });
}

}  // namespace

std::vector<GatewayOptions> Fleet(int devices, const Source& source) {
  std::vector<GatewayOptions> gateways;
  for (int i = 0; i < devices; ++i) {
    if (i % kDevicesPerGateway == 0) {
      gateways.push_back({.id = Numbered("gw-", i / kDevicesPerGateway + 1), .devices = {}});
    }
    gateways.back().devices.push_back(
        {.id = Numbered("motor-", i % kDevicesPerGateway + 1), .source = source});
  }
  return gateways;
}

std::string OwnFolder() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : self.parent_path().string();
}

Options DefaultOptions() {
  Options options;
  options.binaries = OwnFolder();
  options.gateways = Fleet(kDefaultDevices, SimulatedMotor());
  return options;
}

Expected<Options> LoadOptions(const std::string& path) {
  Options options = DefaultOptions();
  Status read = config::ReadFile(path, [&](config::Reader& reader) { Read(reader, options); });
  if (!read) return Fail(read.error());
  return options;
}

std::string Quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      out += std::string("\\x") + kHex[(c >> 4) & 15] + kHex[c & 15];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string Scalar(std::string_view text) {
  const bool number = !text.empty() && text.find_first_not_of("0123456789.") == text.npos;
  return number ? std::string(text) : Quoted(text);
}

std::string SourceText(const Source& source) {
  std::string text = "{";
  for (const auto& [key, value] : source) {
    text += (text.size() > 1 ? ", " : "") + key + ": " + Scalar(value);
  }
  return text + "}";
}

std::string ConfigText(const Options& options) {
  std::string text =
      "binaries: " + Quoted(options.binaries) + "\nmosquitto: " + Quoted(options.mosquitto) +
      "\nlog: {level: " + options.log_level + ", format: " + options.log_format +
      "}\npace: " + std::to_string(options.pace) +
      "\nplant_control: " + (options.plant_control ? "true" : "false") +
      "\nmodel: {name: " + options.model_name + ", window: " + std::to_string(options.window) +
      ", hop: " + std::to_string(options.hop) +
      "}\nstore_mib: " + std::to_string(options.store_mib) + "\ngateways:\n";
  for (const GatewayOptions& gateway : options.gateways) {
    text += "  - id: " + gateway.id + "\n    devices:\n";
    for (const DeviceOptions& device : gateway.devices) {
      text += "      - {id: " + device.id + ", source: " + SourceText(device.source) + "}\n";
    }
  }
  return text;
}

std::string SampleConfig() {
  return R"(# What `edgeloop up` runs on this machine. Everything here is optional; these are the defaults.

# Simulated motors, two a gateway.
devices: 4

# What each device senses, unless it says otherwise below. `type: replay` plays recordings:
#   source: {type: replay, dir: /data/motor, file: 1800rpm_healthy_00lb.i16}
source: {type: motor}

# Real time; 2 is twice as fast, 0 as fast as the machine can. Simulated and replayed sources only.
pace: 1.0

# Whether an operator may direct simulated and replayed sources (POST /v1/plant/<device>).
plant_control: true

# The level-1 model of the devices: window and hop in samples a channel.
model:
  name: motor
  window: 2048
  hop: 512

# What each device may keep while the platform is away, in MiB.
store_mib: 32

log:
  level: info      # debug, info, warning, error
  format: text     # text, json

# Instead of `devices`, the fleet one by one:
# gateways:
#   - id: gw-01
#     devices:
#       - id: motor-01
#       - id: motor-02
#         source: {type: replay, dir: /data/motor, file: 1800rpm_healthy_00lb.i16}
)";
}

}  // namespace edgeloop::site
