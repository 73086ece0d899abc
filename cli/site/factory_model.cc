#include "cli/site/factory_model.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "contracts/model_file/model_spec.h"
#include "runtime/process/daemon.h"
#include "things/gateway/sensors/recordings.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::site {
namespace {

std::string Value(const DeviceOptions& device, std::string_view key) {
  const auto it =
      std::ranges::find(device.source, key, [](const auto& entry) { return entry.first; });
  return it == device.source.end() ? "" : it->second;
}

// The format the device's source will have.
Expected<sensors::RateAndChannels> FormatOf(const DeviceOptions& device) {
  if (Value(device, "type") == "replay") {
    auto catalogue = sensors::ReadCatalogue(Value(device, "dir"));
    if (!catalogue) return Fail(catalogue.error());
    return sensors::MainFormat(*catalogue);
  }
  const sensors::MotorOptions motor;
  sensors::RateAndChannels format{.sample_rate_hz = motor.sample_rate_hz,
                                  .channels = static_cast<uint8_t>(motor.channels.size())};
  if (const std::string rate = Value(device, "sample_rate_hz"); !rate.empty()) {
    const auto end = rate.data() + rate.size();
    if (std::from_chars(rate.data(), end, format.sample_rate_hz).ptr != end) {
      return Fail(ErrorCode::kInvalidArgument,
                  "source.sample_rate_hz: '" + rate + "' is not a whole number of Hz");
    }
  }
  return format;
}

std::string Text(const sensors::RateAndChannels& format) {
  return std::to_string(format.channels) + " channels at " + std::to_string(format.sample_rate_hz) +
         " Hz";
}

}  // namespace

Expected<sensors::RateAndChannels> FleetFormat(const Options& options) {
  std::optional<sensors::RateAndChannels> fleet;
  for (const GatewayOptions& gateway : options.gateways) {
    for (const DeviceOptions& device : gateway.devices) {
      const auto format = FormatOf(device);
      if (!format) return Fail(format.error(), "device " + gateway.id + "/" + device.id);
      if (fleet && (fleet->sample_rate_hz != format->sample_rate_hz ||
                    fleet->channels != format->channels)) {
        return Fail(ErrorCode::kInvalidArgument,
                    "device " + gateway.id + "/" + device.id + " senses " + Text(*format) +
                        ", others " + Text(*fleet) + ": the devices of one machine share a model");
      }
      fleet = *format;
    }
  }
  if (!fleet)
    return Fail(ErrorCode::kInvalidArgument, "there is no device: list one in edgeloop.yaml");
  return *fleet;
}

Expected<std::string> WriteFactoryModel(const Layout& layout, const Options& options,
                                        const sensors::RateAndChannels& format) {
  auto spec = model_file::DefaultMotorPipeline(format.sample_rate_hz, format.channels,
                                               static_cast<uint32_t>(options.window),
                                               static_cast<uint32_t>(options.hop));
  spec.version = 0;  // before any that is published
  const auto bytes = model_file::Write(spec);
  if (!bytes) return Fail(bytes.error(), "factory model");
  const std::string path = layout.root() + "/config/factory.elm";
  Status written = process::WriteFileAtomically(
      path, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!written) return Fail(written.error());
  return path;
}

}  // namespace edgeloop::site
