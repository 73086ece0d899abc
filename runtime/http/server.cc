#include "runtime/http/server.h"

#include <httplib.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "runtime/http/errors.h"
#include "runtime/log/log.h"

namespace edgeloop::http {
namespace {

constexpr size_t kRequestsPerConnection = 10'000;
constexpr time_t kKeepAliveSeconds = 1;

void Write(const Response& from, httplib::Response& to) {
  to.status = from.status;
  to.set_content(from.body, from.content_type);
}

void WriteError(ErrorCode code, std::string message, httplib::Response& to) {
  Write(ErrorResponse(Error(code, std::move(message))), to);
}

// Everything but the body. nullopt when the client's certificate has no usable name.
std::optional<Request> Translate(const httplib::Request& from, httplib::Response& response) {
  Request request;
  request.method = from.method;
  request.path = from.path;
  for (size_t i = 1; i < from.matches.size(); ++i) request.path_parts.push_back(from.matches[i]);
  for (const auto& [key, value] : from.params) request.query.emplace_back(key, value);
  // cpp-httplib shows the connection as const; asking for its certificate changes nothing.
  X509* certificate = SSL_get0_peer_certificate(const_cast<SSL*>(from.ssl));
  if (certificate == nullptr) return request;
  auto peer = tls::PeerOf(certificate);
  if (!peer) {
    WriteError(peer.error().code(), peer.error().message(), response);
    return std::nullopt;
  }
  request.peer = std::move(*peer);
  return request;
}

void Answer(const Server::Handler& handler, const Request& request, httplib::Response& response) {
  try {
    Write(handler(request), response);
  } catch (const std::exception& error) {
    log::Error("request handler failed", {{"path", request.path}, {"error", error.what()}});
    WriteError(ErrorCode::kInternal, "internal error", response);
  }
}

}  // namespace

std::string Request::Query(std::string_view key) const {
  for (const auto& [name, value] : query) {
    if (name == key) return value;
  }
  return "";
}

struct Server::Impl {
  Options options;
  std::unique_ptr<httplib::SSLServer> server;
  std::optional<Error> bad_route;
  int port = 0;
  std::thread listener;

  httplib::Server::HandlerWithContentReader WithBody(Handler handler) const {
    return [limit = options.max_body_bytes, handler = std::move(handler)](
               const httplib::Request& from, httplib::Response& response,
               const httplib::ContentReader& read) {
      if (from.is_multipart_form_data()) {
        return WriteError(ErrorCode::kInvalidArgument, "form data is not accepted", response);
      }
      auto request = Translate(from, response);
      if (!request) return;
      // Counted here because cpp-httplib bounds neither chunked nor decompressed bodies.
      bool too_large = false;
      const bool whole = read([&](const char* data, size_t length) {
        too_large = request->body.size() + length > limit;
        if (!too_large) request->body.append(data, length);
        return !too_large;
      });
      if (too_large || response.status == 413) {
        return WriteError(ErrorCode::kResourceExhausted,
                          "body larger than " + std::to_string(limit) + " bytes", response);
      }
      if (!whole) {
        return WriteError(ErrorCode::kInvalidArgument, "the body ended early", response);
      }
      Answer(handler, *request, response);
    };
  }
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { Stop(); }

Expected<std::unique_ptr<Server>> Server::Create(Options options) {
  auto impl = std::make_unique<Impl>();
  Status configured;
  impl->server = std::make_unique<httplib::SSLServer>([&](SSL_CTX& context) {
    configured = tls::ConfigureServer(&context, options.tls, options.require_client_certificate);
    return configured.has_value();
  });
  if (!configured) return Fail(configured.error());
  if (!impl->server->is_valid()) return Fail(ErrorCode::kInternal, "cannot make a TLS server");

  httplib::SSLServer& server = *impl->server;
  const auto timeout = std::chrono::milliseconds(options.timeout_ms);
  server.new_task_queue = [threads = options.threads] {
    return new httplib::ThreadPool(static_cast<size_t>(threads));
  };
  server.set_tcp_nodelay(true);
  server.set_read_timeout(timeout);
  server.set_write_timeout(timeout);
  server.set_keep_alive_max_count(kRequestsPerConnection);
  server.set_keep_alive_timeout(kKeepAliveSeconds);
  server.set_payload_max_length(options.max_body_bytes);
  // The library's default, SO_REUSEPORT, would let a second daemon take half of our connections.
  server.set_socket_options([](int socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  // What cpp-httplib answers by itself.
  server.set_error_handler(
      httplib::Server::Handler([](const httplib::Request& request, httplib::Response& response) {
        if (!response.body.empty()) return;
        const int status = response.status;
        WriteError(
            CodeOfStatus(status),
            status == 404 ? "nothing at " + request.path : "HTTP status " + std::to_string(status),
            response);
        response.status = status;
      }));
  impl->options = std::move(options);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Handle(std::string_view method, std::string_view pattern, Handler handler) {
  const std::string path(pattern);
  httplib::SSLServer& server = *impl_->server;
  try {
    if (method == "GET") {
      server.Get(path, [handler = std::move(handler)](const httplib::Request& from,
                                                      httplib::Response& response) {
        if (auto request = Translate(from, response)) Answer(handler, *request, response);
      });
    } else if (method == "POST") {
      server.Post(path, impl_->WithBody(std::move(handler)));
    } else if (method == "PUT") {
      server.Put(path, impl_->WithBody(std::move(handler)));
    } else if (method == "PATCH") {
      server.Patch(path, impl_->WithBody(std::move(handler)));
    } else if (method == "DELETE") {
      server.Delete(path, impl_->WithBody(std::move(handler)));
    } else {
      impl_->bad_route.emplace(ErrorCode::kInvalidArgument,
                               "no such HTTP method: " + std::string(method));
    }
  } catch (const std::regex_error& error) {
    impl_->bad_route.emplace(ErrorCode::kInvalidArgument, "route " + path + ": " + error.what());
  }
}

Status Server::Start() {
  if (impl_->bad_route) return Fail(*impl_->bad_route);
  httplib::SSLServer& server = *impl_->server;
  const Options& options = impl_->options;
  errno = 0;
  if (options.port == 0) {
    impl_->port = server.bind_to_any_port(options.host);
  } else {
    impl_->port = server.bind_to_port(options.host, options.port) ? options.port : -1;
  }
  if (impl_->port <= 0) {
    return Fail(ErrorCode::kUnavailable,
                "cannot listen on " + options.host + ":" + std::to_string(options.port) +
                    (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
  }
  impl_->listener = std::thread([&server] { server.listen_after_bind(); });
  // Stop() works on a running server only. Bound already: nobody's connection is refused.
  while (!server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return {};
}

void Server::Stop() {
  if (!impl_->listener.joinable()) return;
  impl_->server->stop();
  impl_->listener.join();
}

int Server::port() const { return impl_->port; }

}  // namespace edgeloop::http
