// edgeloop-stream: see --help.
#include <malloc.h>

#include "platform/services/stream/broker.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;

constexpr std::string_view kName = "edgeloop-stream";
constexpr std::string_view kAbout =
    R"(A small event streaming broker for one machine that speaks the Kafka protocol: what
librdkafka, kcat and the Java clients need of topics, idempotent producers and consumer groups.
An acknowledged record is on the disk (fdatasync).

Example configuration:

  listen: {host: 0.0.0.0, port: 9093}
  advertised: {host: edge-1.plant.example, port: 9093}
  data_dir: /var/lib/edgeloop/stream
  tls: {ca: ca.pem, cert: stream.pem, key: stream.key}
  health: {host: 127.0.0.1, port: 9100}
  topics:
    - {name: edgeloop.telemetry, partitions: 4, config: {retention.ms: 604800000}}
    - {name: edgeloop.models, config: {cleanup.policy: compact}}

Clients show a certificate of the same CA; OU=device is refused. With `plaintext: true` clients
connect without TLS, for tests on one machine; the health listener still wants `tls` and is left
out without it.)";

struct Options {
  process::CommonOptions common;
  stream::BrokerOptions broker;
};

void ReadLimit(config::Reader& reader, std::string_view key, size_t* out, config::IntRange range) {
  auto value = static_cast<int64_t>(*out);
  reader.Optional(key, &value, range);
  *out = static_cast<size_t>(value);
}

void ReadLimits(config::Reader& limits, stream::BrokerOptions& broker) {
  constexpr int64_t kMaxBytes = 1ll << 30;
  constexpr int64_t kMaxCount = 100'000;
  constexpr int64_t kDayMs = 24 * 3600 * 1000;
  stream::ServerLimits& net = broker.listen.limits;
  ReadLimit(limits, "max_connections", &net.max_connections, {1, kMaxCount});
  ReadLimit(limits, "max_request_bytes", &net.max_request_bytes, {1024, kMaxBytes});
  ReadLimit(limits, "max_in_flight", &net.max_in_flight, {1, 10'000});
  ReadLimit(limits, "max_output_bytes", &net.max_output_bytes, {64 * 1024, kMaxBytes});
  ReadLimit(limits, "max_total_request_bytes", &net.max_total_request_bytes, {1 << 20, kMaxBytes});
  limits.Optional("idle_timeout_ms", &net.idle_timeout_ms, {1000, kDayMs});
  limits.Optional("handshake_timeout_ms", &net.handshake_timeout_ms, {100, 600'000});
  stream::CoreLimits& core = broker.core.limits;
  ReadLimit(limits, "max_topics", &core.max_topics, {1, kMaxCount});
  ReadLimit(limits, "max_partitions", &core.max_partitions, {1, kMaxCount});
  ReadLimit(limits, "max_fetch_bytes", &core.max_fetch_bytes, {64 * 1024, kMaxBytes});
  limits.Optional("max_fetch_wait_ms", &core.max_fetch_wait_ms, {100, 600'000});
  limits.Optional("offsets_retention_ms", &core.offsets_retention_ms, {60'000, INT64_MAX});
  limits.Optional("retention_check_ms", &core.retention_check_ms, {1000, kDayMs});
  stream::GroupLimits& groups = broker.core.groups;
  ReadLimit(limits, "max_groups", &groups.max_groups, {1, kMaxCount});
  ReadLimit(limits, "max_members", &groups.max_members, {1, 10'000});
  ReadLimit(limits, "max_offsets", &groups.max_offsets, {1, kMaxCount});
}

void Read(config::Reader& reader, Options& options) {
  stream::BrokerOptions& broker = options.broker;
  bool plaintext = false;
  reader.Optional("plaintext", &plaintext);
  process::ReadCommon(reader, &options.common);
  const auto read_place = [](config::Reader& place, std::string* host, uint16_t* port) {
    int number = *port;
    place.Optional("host", host);
    place.Optional("port", &number, {.min = 0, .max = 65'535});
    *port = static_cast<uint16_t>(number);
  };
  reader.Section("listen", [&](config::Reader& listen) {
    read_place(listen, &broker.listen.host, &broker.listen.port);
  });
  broker.core.advertised_host = broker.listen.host == "0.0.0.0" ? "127.0.0.1" : broker.listen.host;
  reader.Section("advertised", [&](config::Reader& advertised) {
    read_place(advertised, &broker.core.advertised_host, &broker.core.advertised_port);
  });
  reader.Required("data_dir", &broker.core.data_dir);
  reader.Optional("auto_create_topics", &broker.core.auto_create_topics);
  reader.List("topics", [&](config::Reader& item) {
    stream::TopicSpec& topic = broker.topics.emplace_back();
    std::vector<std::pair<std::string, std::string>> config;
    item.Required("name", &topic.name);
    item.Optional("partitions", &topic.partitions, {.min = 1, .max = 10'000});
    item.StringMap("config", &config);
    topic.config.insert(config.begin(), config.end());
    if (auto settings = stream::ParseTopicConfig(topic.config); !settings) {
      item.Fail("config", settings.error().message());
    }
  });
  reader.Section("limits", [&](config::Reader& limits) { ReadLimits(limits, broker); });
  const bool has_tls = !options.common.tls.cert.empty();
  if (!has_tls && !plaintext) reader.Fail("tls", "is missing (or say plaintext: true, in tests)");
  if (!plaintext) broker.tls = options.common.tls;
}

Status Run(const process::Invocation& invocation) {
  auto options = config::LoadFile<Options>(invocation.config_path, Read);
  if (!options) return Fail(options.error());
  if (invocation.check_only) return {};
  process::InitLog(kName, options->common);
  metrics::Registry registry;
  options->broker.metrics = &registry;
  options->broker.notice = [](bool error, const std::string& text) {
    log::Write(error ? log::Level::kError : log::Level::kInfo, text, {});
  };
  auto broker = stream::Broker::Create(options->broker);
  if (!broker) return Fail(broker.error());
  // The health listener is always TLS: without certificates there is none.
  std::unique_ptr<http::Server> health;
  if (!options->common.tls.cert.empty()) {
    auto started = process::StartHealth(options->common, registry, [] { return Status(); });
    if (!started) return Fail(started.error());
    health = std::move(*started);
  }
  const int health_port = health ? health->port() : 0;
  if (auto ok = process::AnnouncePorts(options->common, (*broker)->port(), health_port); !ok) {
    return ok;
  }
  log::Info("started", {{"port", (*broker)->port()},
                        {"health_port", health_port},
                        {"tls", options->broker.tls.has_value()}});
  process::WaitForStop();
  if (health) health->Stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  process::BlockStopSignals();
  // Two threads allocate: one arena each is enough, and what is freed goes back early.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  if (auto ok = Run(invocation); !ok) return process::ReportFailure(kName, ok.error());
  return 0;
}
