#include "cli/site/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/site/status_file.h"

namespace edgeloop::site {
namespace {

constexpr int kProbeTimeoutMs = 2'000;
constexpr size_t kMaxReason = 300;

Status Answers(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(ErrorCode::kInternal, std::strerror(errno));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int reason = errno;
  close(fd);
  if (connected == 0) return {};
  return Fail(ErrorCode::kUnavailable,
              "port " + std::to_string(port) + ": " + std::strerror(reason));
}

}  // namespace

int Access::ListenPort(std::string_view service) const {
  return ports.Get(std::string(service) + ".listen");
}

int Access::HealthPort(std::string_view service) const {
  return ports.Get(std::string(service) + ".health");
}

kafka::ConnectionOptions Access::Stream(std::string_view client_id) const {
  return {.bootstrap = "127.0.0.1:" + std::to_string(ListenPort("stream")),
          .tls = layout.Identity(kOperatorName),
          .client_id = std::string(client_id)};
}

Expected<std::unique_ptr<http::Client>> Access::Client(int port, int timeout_ms) const {
  return http::Client::Create(
      {.port = port, .tls = layout.Identity(kOperatorName), .timeout_ms = timeout_ms});
}

Status Access::Ready(std::string_view process) const {
  if (process == "module") return {};  // it listens nowhere; its sidecar says whether it works
  if (process == "mosquitto") return Answers(ListenPort(process));
  // Before anyone is enrolled nobody can show a certificate.
  if (process == "identity" && !std::filesystem::exists(layout.Identity(kOperatorName).cert)) {
    return Answers(ListenPort(process));
  }
  auto client = Client(HealthPort(process), kProbeTimeoutMs);
  if (!client) return Fail(client.error());
  auto answer = (*client)->Send("GET", "/readyz");
  if (!answer) return Fail(answer.error());
  if (answer->status == 200) return {};
  const auto json = nlohmann::json::parse(answer->body, nullptr, false);
  std::string reason = answer->body.substr(0, kMaxReason);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    reason = json["error"].value("message", reason);
  } else if (json.is_object() && json.contains("reason") && json["reason"].is_string()) {
    reason = json["reason"].get<std::string>();
  }
  return Fail(ErrorCode::kUnavailable, reason);
}

Expected<Access> OpenAccess(const std::string& state_dir) {
  auto status = ReadStatusFile(Layout(state_dir));
  if (!status) return Fail(status.error());
  Access access{.layout = Layout(state_dir), .ports = {}, .gateways = status->gateways};
  auto ports = Ports::Load(access.layout.PortsFile());
  if (!ports) return Fail(ports.error());
  access.ports = std::move(*ports);
  return access;
}

}  // namespace edgeloop::site
