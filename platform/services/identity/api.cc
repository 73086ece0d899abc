#include "platform/services/identity/api.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "runtime/log/log.h"

namespace edgeloop::identity {
namespace {

using http::ErrorResponse;
using http::Request;
using http::Response;

int64_t NowS() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

Response Certificate(Authority& authority, const SigningRequest& request, Authority::How how,
                     metrics::Counter& issued) {
  auto pem = authority.Issue(request, how);
  if (!pem) return ErrorResponse(pem.error());
  issued.Add();
  log::Info("certificate issued",
            {{"cn", request.common_name},
             {"ou", request.organizational_unit},
             {"how", how == Authority::How::kEnrolled ? "enrolled" : "renewed"}});
  return {200, nlohmann::json{{"cert_pem", *pem}, {"ca_pem", authority.ca_pem()}}.dump()};
}

}  // namespace

Expected<EnrolBody> ParseEnrolBody(std::string_view text, bool with_token) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto string_at = [&](const char* key) -> Expected<std::string> {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) {
      return Fail(ErrorCode::kInvalidArgument,
                  std::string("body: string '") + key + "' is missing");
    }
    return found->get<std::string>();
  };
  if (!json.is_object() || json.size() != (with_token ? 2u : 1u)) {
    return Fail(ErrorCode::kInvalidArgument, with_token
                                                 ? "body is not {\"csr_pem\": ..., \"token\": ...}"
                                                 : "body is not {\"csr_pem\": ...}");
  }
  EnrolBody body;
  auto csr = string_at("csr_pem");
  if (!csr) return Fail(csr.error());
  body.csr_pem = std::move(*csr);
  if (with_token) {
    auto token = string_at("token");
    if (!token) return Fail(token.error());
    body.token = std::move(*token);
  }
  return body;
}

void AddRoutes(http::Server& server, Authority& authority, const Tokens& tokens,
               metrics::Registry& registry) {
  auto enrolled = registry.AddCounter("edgeloop_identity_certificates_total", "Certificates issued",
                                      {{"how", "enrolled"}});
  auto renewed = registry.AddCounter("edgeloop_identity_certificates_total", "Certificates issued",
                                     {{"how", "renewed"}});
  auto refused =
      registry.AddCounter("edgeloop_identity_refused_total", "Enrolments and renewals refused");

  server.Handle("GET", "/v1/ca", [&authority](const Request&) {
    return Response{200, authority.ca_pem(), "application/x-pem-file"};
  });
  server.Handle("GET", "/v1/crl", [&authority](const Request&) {
    auto crl = authority.Crl();
    if (!crl) return ErrorResponse(crl.error());
    return Response{200, std::move(*crl), "application/x-pem-file"};
  });
  server.Handle("POST", "/v1/enrol",
                [&authority, &tokens, enrolled, refused](const Request& http) mutable {
                  const auto refuse = [&](const Error& error) {
                    refused.Add();
                    log::Warning("enrolment refused", {{"reason", error.message()}});
                    return ErrorResponse(error);
                  };
                  auto body = ParseEnrolBody(http.body, /*with_token=*/true);
                  if (!body) return refuse(body.error());
                  auto request = SigningRequest::Parse(body->csr_pem);
                  if (!request) return refuse(request.error());
                  if (auto ok = tokens.Take(body->token, request->common_name,
                                            request->organizational_unit, NowS());
                      !ok) {
                    return refuse(ok.error());
                  }
                  return Certificate(authority, *request, Authority::How::kEnrolled, enrolled);
                });
  server.Handle("POST", "/v1/renew", [&authority, renewed, refused](const Request& http) mutable {
    const auto refuse = [&](const Error& error) {
      refused.Add();
      log::Warning("renewal refused",
                   {{"peer", http.peer.common_name}, {"reason", error.message()}});
      return ErrorResponse(error);
    };
    if (http.peer.common_name.empty()) {
      return refuse(Error(ErrorCode::kUnauthenticated, "renewal needs a client certificate"));
    }
    auto body = ParseEnrolBody(http.body, /*with_token=*/false);
    if (!body) return refuse(body.error());
    auto request = SigningRequest::Parse(body->csr_pem);
    if (!request) return refuse(request.error());
    if (request->common_name != http.peer.common_name ||
        request->organizational_unit != http.peer.organizational_unit) {
      return refuse(Error(ErrorCode::kPermissionDenied,
                          "the request is not for the name of the client certificate"));
    }
    return Certificate(authority, *request, Authority::How::kRenewed, renewed);
  });
}

}  // namespace edgeloop::identity
