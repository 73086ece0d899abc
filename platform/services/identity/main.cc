// edgeloop-identity: see --help.

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>

#include "platform/services/identity/api.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;

constexpr std::string_view kName = "edgeloop-identity";
constexpr std::string_view kAbout =
    R"(A small certificate authority: gives every part of Edgeloop its X.509 identity.

  edgeloop-identity init   --state DIR [--host NAME]...     make the authority, once
  edgeloop-identity token  --state DIR --name N --ou U      print a one-time token to enrol with
  edgeloop-identity revoke --state DIR --cn N               revoke all certificates of a name
  edgeloop-identity --config FILE                           serve enrolment

Example configuration:

  state_dir: /var/lib/edgeloop/identity
  listen: {host: 0.0.0.0, port: 8843}
  cert_days: 90
  allowed_hosts: [edge-1.plant.example]
  tls: {ca: DIR/ca.pem, cert: DIR/identity.pem, key: DIR/identity.key}
  health: {host: 127.0.0.1, port: 9104})";

struct Options {
  process::CommonOptions common;
  std::string state_dir;
  std::string host = "127.0.0.1";
  int port = 0;
  identity::Authority::Options authority;
};

void Read(config::Reader& reader, Options& options) {
  process::ReadCommon(reader, &options.common);
  reader.Required("state_dir", &options.state_dir);
  reader.Optional("cert_days", &options.authority.valid_days, {.min = 1, .max = 825});
  reader.Optional("allowed_hosts", &options.authority.allowed_hosts);
  reader.Section(
      "listen",
      [&](config::Reader& listen) {
        listen.Optional("host", &options.host);
        listen.Required("port", &options.port, {.min = 0, .max = 65'535});
      },
      true);
}

Status Serve(const process::Invocation& invocation) {
  auto options = config::LoadFile<Options>(invocation.config_path, Read);
  if (!options) return Fail(options.error());
  auto authority = identity::Authority::Load(options->state_dir, options->authority);
  if (!authority) return Fail(authority.error());
  if (invocation.check_only) return {};
  process::InitLog(kName, options->common);
  const identity::Tokens tokens(options->state_dir + "/tokens");
  metrics::Registry registry;

  // Who enrols has no certificate yet; renewal asks for one itself.
  auto server = http::Server::Create({.host = options->host,
                                      .port = options->port,
                                      .tls = options->common.tls,
                                      .require_client_certificate = false,
                                      .max_body_bytes = 64u << 10});
  if (!server) return Fail(server.error());
  identity::AddRoutes(**server, **authority, tokens, registry);
  if (auto ok = (*server)->Start(); !ok) return Fail(ok.error(), "listen");
  auto health = process::StartHealth(options->common, registry, [] { return Status(); });
  if (!health) return Fail(health.error(), "health listener");
  if (auto ok = process::AnnouncePorts(options->common, (*server)->port(), (*health)->port());
      !ok) {
    return ok;
  }
  log::Info("started", {{"port", (*server)->port()}, {"fingerprint", (*authority)->Fingerprint()}});
  process::WaitForStop();
  (*server)->Stop();
  (*health)->Stop();
  return {};
}

// The authority's own server certificate: DIR/identity.pem, with the root behind it in the chain so
// that a new device can pick the root by its fingerprint.
Status Init(const std::string& state_dir, std::vector<std::string> hosts) {
  if (auto ok = identity::Authority::Init(state_dir); !ok) return ok;
  for (const char* local : {"localhost", "127.0.0.1", "::1"}) hosts.emplace_back(local);
  auto authority =
      identity::Authority::Load(state_dir, {.valid_days = 825, .allowed_hosts = hosts});
  if (!authority) return Fail(authority.error());
  auto csr = tls::CreateKeyAndRequest(state_dir + "/identity.key", "identity", "service", hosts);
  if (!csr) return Fail(csr.error());
  auto request = identity::SigningRequest::Parse(*csr);
  if (!request) return Fail(request.error());
  auto pem = (*authority)->Issue(*request, identity::Authority::How::kEnrolled);
  if (!pem) return Fail(pem.error());
  if (auto ok =
          process::WriteFileAtomically(state_dir + "/identity.pem", *pem + (*authority)->ca_pem());
      !ok) {
    return ok;
  }
  std::cout << "root certificate: " << state_dir
            << "/ca.pem\nfingerprint: " << (*authority)->Fingerprint() << "\n";
  return {};
}

Status Token(const std::string& state_dir, const std::string& name, const std::string& ou,
             int hours) {
  const identity::Tokens tokens(state_dir + "/tokens");
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  auto token = tokens.Create(name, ou, hours * int64_t{3600}, now);
  if (!token) return Fail(token.error());
  std::cout << *token << "\n";
  return {};
}

Status Revoke(const std::string& state_dir, const std::string& name) {
  auto authority = identity::Authority::Load(state_dir, {});
  if (!authority) return Fail(authority.error());
  auto count = (*authority)->Revoke(name);
  if (!count) return Fail(count.error());
  std::cout << *count << " certificate(s) revoked\n";
  return {};
}

int Command(int argc, char** argv) {
  CLI::App app{std::string(kAbout), std::string(kName)};
  app.require_subcommand(1);
  std::string state_dir, name, ou;
  std::vector<std::string> hosts;
  int hours = 24;
  auto* init = app.add_subcommand("init", "make the authority, once");
  auto* token = app.add_subcommand("token", "print a one-time token to enrol with");
  auto* revoke = app.add_subcommand("revoke", "revoke all certificates of a name");
  for (auto* command : {init, token, revoke}) {
    command->add_option("--state", state_dir, "state directory")->required();
  }
  init->add_option("--host", hosts, "a name or IPv4 address this service is reached by");
  token->add_option("--name", name, "common name of the certificate")->required();
  token->add_option("--ou", ou, "service, device or operator")->required();
  token->add_option("--hours", hours, "how long it is good for")->check(CLI::Range(1, 24 * 30));
  revoke->add_option("--cn", name, "common name")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Status done = init->parsed()    ? Init(state_dir, hosts)
                      : token->parsed() ? Token(state_dir, name, ou, hours)
                                        : Revoke(state_dir, name);
  return done ? 0 : process::ReportFailure(kName, done.error());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-') return Command(argc, argv);
  process::BlockStopSignals();
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  if (auto ok = Serve(invocation); !ok) return process::ReportFailure(kName, ok.error());
  return 0;
}
