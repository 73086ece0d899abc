// A small HTTP/1.1 server under mutual TLS (cpp-httplib inside).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/tls/tls.h"

namespace edgeloop::metrics {
class Registry;
}

namespace edgeloop::http {

struct Request {
  std::string method;
  std::string path;
  std::vector<std::string> path_parts;  // what the pattern's groups matched
  std::string body;
  tls::Peer peer;  // empty names when the server does not ask for a client certificate
  std::string Query(std::string_view key) const;
  std::vector<std::pair<std::string, std::string>> query;
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
};

// {"error":{"code":...,"message":...}} with the status that fits the code.
Response ErrorResponse(const Error& error);

class Server {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 0;  // 0: any free one, see port()
    tls::Files tls;
    bool require_client_certificate = true;  // false only for enrolment
    size_t max_body_bytes = 1u << 20;
    int threads = 2;
    int timeout_ms = 10'000;  // read and write of one request
  };
  using Handler = std::function<Response(const Request&)>;

  static Expected<std::unique_ptr<Server>> Create(Options options);
  ~Server();  // stops

  // `pattern` is a regular expression over the whole path, its groups become path_parts.
  // Before Start() only.
  void Handle(std::string_view method, std::string_view pattern, Handler handler);
  Status Start();  // binds, then serves on its own threads
  void Stop();
  int port() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Adds /healthz, /readyz and /metrics. `ready` returns why the service is not ready.
void AddHealth(Server& server, const metrics::Registry& registry, std::function<Status()> ready);

}  // namespace edgeloop::http
