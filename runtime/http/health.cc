#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"

namespace edgeloop::http {

void AddHealth(Server& server, const metrics::Registry& registry, std::function<Status()> ready) {
  server.Handle("GET", "/healthz", [](const Request&) {
    return Response{200, "{\"status\":\"ok\"}"};
  });
  server.Handle("GET", "/readyz", [ready = std::move(ready)](const Request&) {
    const Status status = ready ? ready() : Status{};
    if (status) return Response{200, "{\"status\":\"ready\"}"};
    // Whatever the reason, "not now" is 503 to who asks about readiness.
    Response response = ErrorResponse(status.error());
    response.status = 503;
    return response;
  });
  server.Handle("GET", "/metrics", [&registry](const Request&) {
    return Response{200, registry.Text(), "text/plain; version=0.0.4"};
  });
}

}  // namespace edgeloop::http
