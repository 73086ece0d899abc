#include "runtime/mqtt/test_broker.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

namespace edgeloop::mqtt {
namespace {

bool Accepts(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

TestBroker::TestBroker(tls::TestCa& ca, const std::string& acl) {
  const auto port = process::FreePort();
  if (!port) throw std::runtime_error(port.error().message());
  port_ = *port;
  const std::string base = ca.directory() + "/mosquitto-" + std::to_string(port_);
  config_path_ = base + ".conf";
  log_path_ = base + ".log";
  const tls::Files files = ca.Issue("mosquitto");
  std::ofstream config(config_path_);
  config << "listener " << port_ << " 127.0.0.1\n"
         << "cafile " << files.ca << "\ncertfile " << files.cert << "\nkeyfile " << files.key
         << "\ntls_version tlsv1.3\nrequire_certificate true\nuse_identity_as_username true\n"
         << "persistence false\nset_tcp_nodelay true\n";
  // Started as root it would become another user, who may not read our keys.
  if (geteuid() == 0) config << "user root\n";
  if (!acl.empty()) {
    std::ofstream(base + ".acl") << acl;
    config << "acl_file " << base << ".acl\n";
  }
  config.close();
  Restart();
}

void TestBroker::Kill() {
  child_->Signal(SIGKILL);
  child_->WaitFor(std::chrono::seconds(10));
}

void TestBroker::Restart() {
  // Debian keeps it where users do not look: /usr/sbin.
  const char* path = getenv("PATH");
  auto child = process::Child::Start(
      {.command = {"sh", "-c", "exec mosquitto -v -c \"$0\"", config_path_},
       .environment = {{"PATH", std::string(path != nullptr ? path : "/usr/bin") + ":/usr/sbin"}},
       .output_path = log_path_});
  if (!child) throw std::runtime_error(child.error().message());
  child_.emplace(std::move(*child));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!Accepts(port_)) {
    if (child_->WaitFor(std::chrono::milliseconds(5)) ||
        std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("mosquitto did not start, see " + log_path_);
    }
  }
}

}  // namespace edgeloop::mqtt
