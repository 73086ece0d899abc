// edgeloop-gateway: see --help.
#include <malloc.h>

#include "runtime/log/log.h"
#include "runtime/process/daemon.h"
#include "things/gateway/daemon/gateway.h"

namespace {

using namespace edgeloop;

constexpr std::string_view kName = "edgeloop-gateway";
constexpr std::string_view kAbout =
    R"(Senses machines, judges every window with the level-1 model, opens the contactor on a trip, keeps
all records until they are durable in the stream, and updates its models. Outbound connections only
(MQTT with Sparkplug B, HTTPS to the registry), but for the health listener.

Example configuration:

  gateway_id: gw-01
  group_id: edgeloop
  mqtt: {host: broker.example, port: 8883}
  registry: {host: registry.example, port: 8444}
  state_dir: /var/lib/edgeloop/gateway
  trusted_keys: [mlops-signing.pub]     # who may publish models
  plant_control: false                  # operators may direct simulated sources
  pace: 1.0                             # of simulated sources; 0: as fast as the store takes it
  sync_interval_ms: 200                 # features and raw windows are synced together
  max_model_bytes: 4194304
  devices:
    - id: motor-01
      source: {type: motor, sample_rate_hz: 8000, seed: 1, speed_rpm: 1480, load: 0.6}
      # or {type: replay, dir: /data/recordings, file: healthy.i16, channels: 3}
      actuator: {type: file, path: /run/edgeloop/motor-01}  # simulated, file or gpio
      factory_model: /etc/edgeloop/factory.elm
      store: {max_bytes: 33554432, segment_bytes: 262144}
      raw_on_alarm: true
  tls: {ca: ca.pem, cert: gw-01.pem, key: gw-01.key}
  health: {host: 127.0.0.1, port: 9110})";

Status Run(const process::Invocation& invocation) {
  auto options =
      config::LoadFile<gateway::GatewayOptions>(invocation.config_path, gateway::ReadOptions);
  if (!options) return Fail(options.error());
  if (invocation.check_only) return {};
  process::InitLog(kName, options->common);
  const process::CommonOptions common = options->common;

  metrics::Registry metrics;
  auto gateway = gateway::Gateway::Create(std::move(*options), metrics);
  if (!gateway) return Fail(gateway.error());
  auto health = process::StartHealth(
      common, metrics, [&] { return (*gateway)->Ready(); },
      [&](http::Server& server) { (*gateway)->AddRoutes(server); });
  if (!health) return Fail(health.error(), "health listener");
  if (Status status = (*gateway)->Start(); !status) return status;
  if (Status status = process::AnnouncePorts(common, 0, (*health)->port()); !status) return status;
  log::Info("started", {{"health_port", (*health)->port()}});
  process::WaitForStop();
  (*health)->Stop();
  (*gateway)->Stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  // A few threads that allocate little: one heap instead of one a thread.
  ::mallopt(M_ARENA_MAX, 1);
  process::BlockStopSignals();
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  if (auto ok = Run(invocation); !ok) return process::ReportFailure(kName, ok.error());
  return 0;
}
