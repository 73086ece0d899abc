// edgeloop-bridge: see --help.
#include <memory>

#include "platform/services/bridge/bridge.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;

constexpr std::string_view kAbout =
    R"(Carries Sparkplug B records from MQTT to the stream edgeloop.telemetry, and commands from
edgeloop.commands back to the devices. Acknowledges a record to its device once the stream has
it on disk; keeps no state of its own.

Example configuration:

  group_id: edgeloop
  mqtt: {host: 127.0.0.1, port: 8883}
  stream: {bootstrap: "127.0.0.1:9093"}
  tls: {ca: ca.pem, cert: bridge.pem, key: bridge.key}
  health: {host: 127.0.0.1, port: 9101}

The health listener also serves GET /v1/positions: how far each device has come.)";

struct Options {
  process::CommonOptions common;
  bridge::SessionOptions session;
};

void Read(config::Reader& reader, Options& options) {
  process::ReadCommon(reader, &options.common);
  reader.Optional("group_id", &options.session.group_id);
  if (!IsValidId(options.session.group_id)) reader.Fail("group_id", "is not an id (a-z, 0-9, '-')");
  reader.Section(
      "mqtt",
      [&](config::Reader& mqtt) {
        mqtt.Optional("host", &options.session.mqtt_host);
        mqtt.Required("port", &options.session.mqtt_port, {.min = 1, .max = 65'535});
      },
      true);
  reader.Section(
      "stream",
      [&](config::Reader& stream) {
        stream.Required("bootstrap", &options.session.stream.bootstrap);
      },
      true);
  reader.Optional("queue_messages", &options.session.queue_messages, {.min = 16, .max = 1'000'000});
  reader.Optional("queue_kib", &options.session.queue_kib, {.min = 1'024, .max = 1'048'576});
}

Status Run(const process::Invocation& invocation) {
  auto options = config::LoadFile<Options>(invocation.config_path, Read);
  if (!options) return Fail(options.error());
  if (invocation.check_only) return {};
  process::InitLog("edgeloop-bridge", options->common);
  options->session.mqtt_tls = options->common.tls;
  options->session.stream.tls = options->common.tls;
  options->session.stream.client_id = "bridge";

  metrics::Registry registry;
  bridge::Bridge bridge(options->session, registry);
  auto health = process::StartHealth(
      options->common, registry, [&] { return bridge.Ready(); },
      [&](http::Server& server) {
        server.Handle("GET", "/v1/positions", [&](const http::Request&) {
          return http::Response{200, bridge.PositionsJson()};
        });
      });
  if (!health) return Fail(health.error(), "health listener");
  if (auto ok = process::AnnouncePorts(options->common, 0, (*health)->port()); !ok) return ok;
  log::Info("started", {{"mqtt_port", options->session.mqtt_port},
                        {"stream", options->session.stream.bootstrap}});
  process::WaitForStop();
  (*health)->Stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  process::BlockStopSignals();
  const auto invocation = process::ParseCommandLine(argc, argv, "edgeloop-bridge", kAbout);
  if (auto ok = Run(invocation); !ok) return process::ReportFailure("edgeloop-bridge", ok.error());
  return 0;
}
