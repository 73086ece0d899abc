#include "runtime/http/client.h"

#include <httplib.h>

#include <chrono>

#include "runtime/http/errors.h"

namespace edgeloop::http {
namespace {

using Clock = std::chrono::steady_clock;

// Half of how long our servers keep an idle connection: a request that must not be repeated does
// not go out on one that the server may be closing.
constexpr auto kFreshFor = std::chrono::milliseconds(500);

bool IsIdempotent(std::string_view method) { return method != "POST" && method != "PATCH"; }

ErrorCode CodeOf(httplib::Error error) {
  switch (error) {
    case httplib::Error::SSLServerVerification:
    case httplib::Error::SSLLoadingCerts:
      return ErrorCode::kUnauthenticated;
    case httplib::Error::ConnectionTimeout:
      return ErrorCode::kTimeout;
    default:
      return ErrorCode::kUnavailable;
  }
}

}  // namespace

struct Client::Impl {
  Options options;
  std::unique_ptr<httplib::SSLClient> client;
  Clock::time_point used;  // the end of the last request

  std::string Target(std::string_view method, std::string_view path) const {
    return std::string(method) + " https://" + options.host + ":" + std::to_string(options.port) +
           std::string(path);
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Expected<std::unique_ptr<Client>> Client::Create(Options options) {
  auto impl = std::make_unique<Impl>();
  impl->client = std::make_unique<httplib::SSLClient>(options.host, options.port);
  httplib::SSLClient& client = *impl->client;
  if (!client.is_valid()) return Fail(ErrorCode::kInternal, "cannot make a TLS client");
  auto configured = tls::ConfigureClient(client.ssl_context(), options.tls);
  if (!configured) return Fail(configured.error());
  // Named again, or cpp-httplib adds the authorities of the operating system.
  client.set_ca_cert_path(options.tls.ca);
  client.enable_server_certificate_verification(true);
  client.set_keep_alive(true);
  client.set_tcp_nodelay(true);
  const auto timeout = std::chrono::milliseconds(options.timeout_ms);
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  client.set_write_timeout(timeout);
  impl->options = std::move(options);
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Expected<Response> Client::Send(std::string_view method, std::string_view path,
                                std::string_view body, std::string_view content_type) {
  httplib::SSLClient& client = *impl_->client;
  const bool idempotent = IsIdempotent(method);
  if (!idempotent && Clock::now() - impl_->used > kFreshFor) client.stop();

  for (int attempt = 1;; ++attempt) {
    Response response;
    bool too_large = false;
    httplib::Request request;
    request.method = method;
    request.path = path;
    if (!body.empty()) {
      request.body = body;
      request.set_header("Content-Type", std::string(content_type));
    }
    request.content_receiver = [&](const char* data, size_t length, uint64_t, uint64_t) {
      too_large = response.body.size() + length > impl_->options.max_body_bytes;
      if (!too_large) response.body.append(data, length);
      return !too_large;
    };
    const httplib::Result result = client.send(request);
    impl_->used = Clock::now();
    if (result) {
      response.status = result->status;
      response.content_type = result->get_header_value("Content-Type");
      return response;
    }
    const std::string target = impl_->Target(method, path);
    if (too_large) {
      client.stop();
      return Fail(ErrorCode::kResourceExhausted, target + ": the response is larger than " +
                                                     std::to_string(impl_->options.max_body_bytes) +
                                                     " bytes");
    }
    client.stop();
    const ErrorCode code = CodeOf(result.error());
    // Once more on a new connection: the old one may have been closed by the server when idle.
    if (idempotent && attempt == 1 && code == ErrorCode::kUnavailable) continue;
    return Fail(code, target + ": " + httplib::to_string(result.error()));
  }
}

Expected<std::string> Client::Call(std::string_view method, std::string_view path,
                                   std::string_view body, std::string_view content_type) {
  auto response = Send(method, path, body, content_type);
  if (!response) return Fail(response.error());
  if (response->status >= 400) return Fail(ErrorOf(*response), impl_->Target(method, path));
  return std::move(response->body);
}

}  // namespace edgeloop::http
