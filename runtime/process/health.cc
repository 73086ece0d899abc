#include "runtime/process/daemon.h"

namespace edgeloop::process {

Expected<std::unique_ptr<http::Server>> StartHealth(
    const CommonOptions& options, const metrics::Registry& registry, std::function<Status()> ready,
    const std::function<void(http::Server&)>& add_routes) {
  auto server = http::Server::Create(
      {.host = options.health_host, .port = options.health_port, .tls = options.tls});
  if (!server) return Fail(server.error(), "health listener");
  http::AddHealth(**server, registry, std::move(ready));
  if (add_routes) add_routes(**server);
  if (auto started = (*server)->Start(); !started) {
    return Fail(started.error(), "health listener");
  }
  return server;
}

}  // namespace edgeloop::process
