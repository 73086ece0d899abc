#include "cli/site/factory_model.h"

#include <algorithm>
#include <charconv>

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

}  // namespace

Expected<std::string> WriteFactoryModel(const Layout& layout, const Options& options,
                                        const DeviceOptions& device) {
  const auto format = FormatOf(device);
  if (!format) return Fail(format.error(), "device " + device.id);
  const auto bytes = model_file::Write(model_file::DefaultMotorPipeline(
      format->sample_rate_hz, format->channels, static_cast<uint32_t>(options.window),
      static_cast<uint32_t>(options.hop)));
  if (!bytes) return Fail(bytes.error(), "factory model of device " + device.id);
  const std::string path = layout.root() + "/config/factory-" +
                           std::to_string(format->sample_rate_hz) + "hz-" +
                           std::to_string(format->channels) + "ch.elm";
  Status written = process::WriteFileAtomically(
      path, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!written) return Fail(written.error());
  return path;
}

}  // namespace edgeloop::site
