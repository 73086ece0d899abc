// edgeloop-registry: see --help.
#include "platform/services/registry/api.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;

constexpr std::string_view kName = "edgeloop-registry";
constexpr std::string_view kAbout =
    R"(Keeps models: the files by their SHA-256, and signed versions with aliases in SQLite.

Example configuration:

  listen: {host: 0.0.0.0, port: 8444}
  data_dir: /var/lib/edgeloop/registry
  publishers:
    - {cn: mlops, public_key: mlops-signing.pub}
  tls: {ca: ca.pem, cert: registry.pem, key: registry.key}
  health: {host: 127.0.0.1, port: 9103})";

struct Options {
  process::CommonOptions common;
  std::string host = "127.0.0.1";
  int port = 0;
  std::string data_dir;
  struct PublisherKey {
    std::string cn;
    std::string key_id;
    std::string public_key;
  };
  std::vector<PublisherKey> publishers;
};

void Read(config::Reader& reader, Options& options) {
  process::ReadCommon(reader, &options.common);
  reader.Required("data_dir", &options.data_dir);
  reader.Section(
      "listen",
      [&](config::Reader& listen) {
        listen.Optional("host", &options.host);
        listen.Required("port", &options.port, {.min = 0, .max = 65'535});
      },
      true);
  reader.List(
      "publishers",
      [&](config::Reader& publisher) {
        auto& out = options.publishers.emplace_back();
        publisher.Required("cn", &out.cn);
        publisher.Optional("key_id", &out.key_id);
        publisher.Required("public_key", &out.public_key);
      },
      true);
}

Status Run(const process::Invocation& invocation) {
  auto options = config::LoadFile<Options>(invocation.config_path, Read);
  if (!options) return Fail(options.error());
  std::vector<registry::Publisher> publishers;
  for (const auto& publisher : options->publishers) {
    auto verifier = signing::Verifier::Load({publisher.public_key});
    if (!verifier) return Fail(verifier.error());
    publishers.push_back({publisher.cn, publisher.key_id, std::move(*verifier)});
  }
  if (invocation.check_only) return {};
  process::InitLog(kName, options->common);

  auto blobs = registry::BlobStore::Open(options->data_dir + "/blobs");
  if (!blobs) return Fail(blobs.error());
  auto catalog = registry::Catalog::Open(options->data_dir + "/catalog.sqlite");
  if (!catalog) return Fail(catalog.error());
  const registry::Registry registry{*blobs, **catalog, std::move(publishers)};

  metrics::Registry metrics;
  auto server = http::Server::Create({.host = options->host,
                                      .port = options->port,
                                      .tls = options->common.tls,
                                      .max_body_bytes = kMaxModelBytes,
                                      .threads = 4});
  if (!server) return Fail(server.error());
  registry::AddRoutes(**server, registry, metrics);
  if (auto ok = (*server)->Start(); !ok) return Fail(ok.error(), "listen");
  auto health = process::StartHealth(options->common, metrics, [&]() -> Status {
    auto names = (*catalog)->Names();
    if (!names) return Fail(names.error());
    return {};
  });
  if (!health) return Fail(health.error(), "health listener");
  if (auto ok = process::AnnouncePorts(options->common, (*server)->port(), (*health)->port());
      !ok) {
    return ok;
  }
  log::Info("started", {{"port", (*server)->port()}});
  process::WaitForStop();
  (*server)->Stop();
  (*health)->Stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  process::BlockStopSignals();
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  if (auto ok = Run(invocation); !ok) return process::ReportFailure(kName, ok.error());
  return 0;
}
