#include "cli/site/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/process/child.h"
#include "runtime/process/daemon.h"

namespace edgeloop::site {
namespace {

constexpr size_t kMaxPortsBytes = 64 << 10;
constexpr int kAttempts = 64;

bool CanBind(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  // As the daemons do: connections of an earlier run in TIME_WAIT do not count.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return bound;
}

}  // namespace

Expected<Ports> Ports::Load(const std::string& path) {
  Ports ports;
  if (!std::filesystem::exists(path)) return ports;
  auto text = process::ReadWholeFile(path, kMaxPortsBytes);
  if (!text) return Fail(text.error());
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    return Fail(ErrorCode::kCorrupt,
                path + " is not a JSON object: delete it, ports are chosen anew");
  }
  for (const auto& [name, port] : json.items()) {
    if (!port.is_number_integer() || port.get<int64_t>() < 1 || port.get<int64_t>() > 65535) {
      return Fail(ErrorCode::kCorrupt,
                  path + ": " + name + " is not a port: delete the file, ports are chosen anew");
    }
    ports.ports_[name] = port.get<int>();
  }
  return ports;
}

Expected<int> Ports::Choose(const std::string& name) {
  if (const int known = Get(name)) return known;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto port = process::FreePort();
    if (!port) return port;
    // The kernel may hand out a port again that we gave to a process that does not listen yet.
    if (std::ranges::any_of(ports_, [&](const auto& entry) { return entry.second == *port; }))
      continue;
    ports_[name] = *port;
    return *port;
  }
  return Fail(ErrorCode::kResourceExhausted, "no free TCP port on 127.0.0.1 for " + name);
}

int Ports::Get(const std::string& name) const {
  const auto it = ports_.find(name);
  return it == ports_.end() ? 0 : it->second;
}

void Ports::ForgetTaken() {
  std::erase_if(ports_, [](const auto& entry) { return !CanBind(entry.second); });
}

Status Ports::Save(const std::string& path) const {
  return process::WriteFileAtomically(path, nlohmann::json(ports_).dump(2) + "\n", 0600);
}

}  // namespace edgeloop::site
