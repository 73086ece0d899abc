#include "platform/mlops/pipeline/options.h"

namespace edgeloop::mlops {

const std::string_view kAbout =
    R"(Learns from the fleet: keeps feature windows, joins them with labels, watches for drift, trains a
challenger, compares it with the champion in the int8 form devices run, signs and publishes it, and
brings it to a canary and then to all devices. Survives kill -9 at any point.

A run starts when a label submission is complete (telemetry of every labelled device has passed the
labelled time) and there is no champion yet, or the fleet has drifted since the champion was trained;
or at once by POST /v1/runs.

Example configuration (values are the defaults where a key may be left out):

  listen: {host: 127.0.0.1, port: 8446}
  stream: {bootstrap: "127.0.0.1:9092"}
  registry: {host: 127.0.0.1, port: 8444}
  state_dir: /var/lib/edgeloop/mlops       # database, snapshots, models
  signing_key: /etc/edgeloop/mlops-signing.key
  model: {name: motor, sample_rate_hz: 20000, channels: 3, window: 2048, hop: 512}
  dataset: {max_windows: 100000}           # windows that wait for labels
  drift:
    live_windows: 48                       # newest windows of a device that are looked at
    min_windows: 20
    psi_threshold: 0.25                    # above the noise floor of the sample sizes
    feature_share: 0.25                    # of the features, that must have moved
    device_share: 0.5                      # of the active devices, that must have drifted
  train:
    l2: 0.02                               # penalty, relative to the number of rows
    threshold_position: 0.0                # alarm threshold, from healthy (0) to faulty (1)
    trip_count: 13                         # of the last trip_window windows
    trip_window: 16
    probation_windows: 16                  # trial on the device
    max_alarm_fraction: 0.25               # in the trial
    min_rows_per_class: 16
  gate: {max_false_alarm_rate: 0.05, min_recall: 0.8}
  rollout: {canary_devices: 1, observe_windows: 32, max_alarm_jump: 0.25, confirm_timeout_ms: 120000,
            resend_ms: 5000}
  tls: {ca: ca.pem, cert: mlops.pem, key: mlops.key}
  health: {host: 127.0.0.1, port: 9106}

API (mutual TLS, services and operators): GET /v1/status, /v1/drift, /v1/runs, /v1/rollouts;
POST /v1/runs {"reason"}, /v1/rollouts {"model","version","force"}, /v1/models?name=N (body: .elm).)";

namespace {

constexpr config::FloatRange kShare{.min = 0, .max = 1};

void ReadModel(config::Reader& reader, ControllerOptions& options) {
  int64_t rate = options.sample_rate_hz;
  int64_t channels = options.channels;
  int64_t window = options.window;
  int64_t hop = options.hop;
  reader.Optional("name", &options.model_name);
  reader.Optional("sample_rate_hz", &rate, {.min = 1, .max = model::kMaxSampleRateHz});
  reader.Optional("channels", &channels, {.min = 1, .max = model::kMaxChannels});
  reader.Optional("window", &window, {.min = model::kMinWindow, .max = model::kMaxWindow});
  reader.Optional("hop", &hop, {.min = 1, .max = model::kMaxWindow});
  if ((window & (window - 1)) != 0) reader.Fail("window", "must be a power of two");
  if (hop > window) reader.Fail("hop", "must not exceed window");
  options.sample_rate_hz = static_cast<std::uint32_t>(rate);
  options.channels = static_cast<std::uint8_t>(channels);
  options.window = static_cast<std::uint32_t>(window);
  options.hop = static_cast<std::uint32_t>(hop);
}

void ReadTrain(config::Reader& reader, TrainOptions& options) {
  int count = options.trip_count;
  int window = options.trip_window;
  int probation = options.health.probation_windows;
  double fraction = options.health.max_alarm_fraction;
  reader.Optional("l2", &options.logistic.l2, {.min = 0, .max = 1e6});
  reader.Optional("threshold_position", &options.threshold.position, kShare);
  reader.Optional("trip_window", &window, {.min = 1, .max = model::kMaxTripWindow});
  reader.Optional("trip_count", &count, {.min = 1, .max = model::kMaxTripWindow});
  if (count > window) reader.Fail("trip_count", "must not exceed trip_window");
  reader.Optional("probation_windows", &probation, {.min = 1, .max = 65'535});
  reader.Optional("max_alarm_fraction", &fraction, kShare);
  reader.Optional("min_rows_per_class", &options.min_rows_per_class, {.min = 4, .max = 100'000});
  options.trip_count = static_cast<std::uint8_t>(count);
  options.trip_window = static_cast<std::uint8_t>(window);
  options.health.probation_windows = static_cast<std::uint16_t>(probation);
  options.health.max_alarm_fraction = static_cast<float>(fraction);
}

void ReadDrift(config::Reader& reader, DriftOptions& options) {
  reader.Optional("live_windows", &options.live_windows, {.min = 8, .max = 10'000});
  reader.Optional("min_windows", &options.min_windows, {.min = 8, .max = 10'000});
  if (options.min_windows > options.live_windows) {
    reader.Fail("min_windows", "must not exceed live_windows");
  }
  reader.Optional("psi_threshold", &options.psi_threshold, {.min = 0, .max = 100});
  reader.Optional("feature_share", &options.feature_share, kShare);
  reader.Optional("device_share", &options.device_share, kShare);
}

}  // namespace

void ReadOptions(config::Reader& reader, DaemonOptions& options) {
  ControllerOptions& controller = options.controller;
  process::ReadCommon(reader, &options.common);
  reader.Required("state_dir", &controller.state_dir);
  reader.Required("signing_key", &options.signing_key);
  reader.Section(
      "listen",
      [&](config::Reader& listen) {
        listen.Optional("host", &options.listen_host);
        listen.Required("port", &options.listen_port, {.min = 0, .max = 65'535});
      },
      true);
  reader.Section(
      "stream", [&](config::Reader& stream) { stream.Required("bootstrap", &options.bootstrap); },
      true);
  reader.Section(
      "registry",
      [&](config::Reader& registry) {
        registry.Optional("host", &options.registry_host);
        registry.Required("port", &options.registry_port, {.min = 1, .max = 65'535});
      },
      true);
  reader.Section("model", [&](config::Reader& model) { ReadModel(model, controller); });
  reader.Section("dataset", [&](config::Reader& dataset) {
    dataset.Optional("max_windows", &controller.max_windows, {.min = 1'000, .max = 10'000'000});
  });
  reader.Section("drift", [&](config::Reader& drift) { ReadDrift(drift, controller.drift); });
  reader.Section("train", [&](config::Reader& train) { ReadTrain(train, controller.train); });
  reader.Section("gate", [&](config::Reader& gate) {
    gate.Optional("max_false_alarm_rate", &controller.gate.max_false_alarm_rate, kShare);
    gate.Optional("min_recall", &controller.gate.min_recall, kShare);
  });
  reader.Section("rollout", [&](config::Reader& rollout) {
    RolloutOptions& out = controller.rollout;
    rollout.Optional("canary_devices", &out.canary_devices, {.min = 1, .max = 100'000});
    rollout.Optional("observe_windows", &out.observe_windows, {.min = 1, .max = 100'000});
    rollout.Optional("max_alarm_jump", &out.max_alarm_jump, kShare);
    rollout.Optional("confirm_timeout_ms", &out.confirm_timeout_ms,
                     {.min = 1'000, .max = 7 * 86'400'000LL});
    rollout.Optional("resend_ms", &out.resend_ms, {.min = 250, .max = 3'600'000});
  });
  controller.drift.overlap =
      static_cast<double>(controller.hop) / static_cast<double>(controller.window);
}

}  // namespace edgeloop::mlops
