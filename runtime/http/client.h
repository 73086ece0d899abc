// HTTP/1.1 requests under mutual TLS (cpp-httplib inside). Not thread-safe; keeps one connection.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "contracts/error/error.h"
#include "runtime/http/server.h"
#include "runtime/tls/tls.h"

namespace edgeloop::http {

class Client {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 0;
    tls::Files tls;  // cert and key may be empty: no client certificate is shown
    int timeout_ms = 10'000;
    size_t max_body_bytes = 16u << 20;  // of a response; more is kResourceExhausted
  };
  static Expected<std::unique_ptr<Client>> Create(Options options);
  ~Client();

  // A response of any status; errors are of the transport. Idempotent methods only are retried.
  Expected<Response> Send(std::string_view method, std::string_view path,
                          std::string_view body = {},
                          std::string_view content_type = "application/json");
  // As Send, but a status of 400 and above becomes an Error with the server's message.
  Expected<std::string> Call(std::string_view method, std::string_view path,
                             std::string_view body = {},
                             std::string_view content_type = "application/json");

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::http
