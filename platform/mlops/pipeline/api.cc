#include "platform/mlops/pipeline/api.h"

#include <nlohmann/json.hpp>

#include "platform/mlops/pipeline/views.h"
#include "runtime/log/log.h"

namespace edgeloop::mlops {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;

constexpr std::size_t kMaxReasonBytes = 500;

using Route = Expected<Response> (*)(Controller&, const Request&);

template <std::string (*View)(Controller&)>
Expected<Response> Get(Controller& controller, const Request&) {
  return Response{200, View(controller)};
}

Expected<json> Body(const Request& request, std::initializer_list<std::string_view> known) {
  json body = request.body.empty() ? json::object() : json::parse(request.body, nullptr, false);
  if (!body.is_object()) return Fail(ErrorCode::kInvalidArgument, "body: is not a JSON object");
  for (const auto& [key, value] : body.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      return Fail(ErrorCode::kInvalidArgument, "body: unknown key '" + key + "'");
    }
  }
  return body;
}

Expected<Response> PostRun(Controller& controller, const Request& request) {
  auto body = Body(request, {"reason"});
  if (!body) return Fail(body.error());
  if (body->contains("reason") && !(*body)["reason"].is_string()) {
    return Fail(ErrorCode::kInvalidArgument, "body: 'reason' is not a string");
  }
  const std::string reason = body->value("reason", "").substr(0, kMaxReasonBytes);
  if (Status requested = controller.RequestRun(reason); !requested) return Fail(requested.error());
  return Response{202, json{{"accepted", true}}.dump()};
}

Expected<Response> PostRollout(Controller& controller, const Request& request) {
  auto body = Body(request, {"model", "version", "force"});
  if (!body) return Fail(body.error());
  const json model = body->value("model", json());
  const json version = body->value("version", json());
  const json force = body->value("force", json(false));
  if (!model.is_string() || !version.is_number_unsigned() ||
      version.get<std::uint64_t>() > INT32_MAX || !force.is_boolean()) {
    return Fail(ErrorCode::kInvalidArgument,
                "body: is not {\"model\": <string>, \"version\": <number>, \"force\": <bool>}");
  }
  auto id = controller.RequestRollout(model.get<std::string>(), version.get<std::uint32_t>(),
                                      force.get<bool>());
  if (!id) return Fail(id.error());
  return Response{202, json{{"id", *id}}.dump()};
}

Expected<Response> PostModel(Controller& controller, const Request& request) {
  auto model = controller.Import(
      request.Query("name"),
      {reinterpret_cast<const std::uint8_t*>(request.body.data()), request.body.size()});
  if (!model) return Fail(model.error());
  return Response{201, json{{"name", model->name},
                            {"version", model->version},
                            {"digest", model->digest},
                            {"size", model->size},
                            {"key_id", model->key_id}}
                           .dump()};
}

}  // namespace

void AddRoutes(http::Server& server, Controller& controller) {
  const auto add = [&](const char* method, const char* path, Route route) {
    server.Handle(method, path, [&controller, route](const Request& request) {
      if (request.peer.organizational_unit == "device") {
        return http::ErrorResponse(
            Error(ErrorCode::kPermissionDenied, "only services and operators may"));
      }
      Expected<Response> response = route(controller, request);
      if (response) return *response;
      log::Warning("request refused", {{"path", request.path},
                                       {"by", request.peer.common_name},
                                       {"reason", response.error().ToString()}});
      return http::ErrorResponse(response.error());
    });
  };
  add("GET", "/v1/status", Get<StatusJson>);
  add("GET", "/v1/drift", Get<DriftJson>);
  add("GET", "/v1/runs", Get<RunsJson>);
  add("POST", "/v1/runs", PostRun);
  add("GET", "/v1/rollouts", Get<RolloutsJson>);
  add("POST", "/v1/rollouts", PostRollout);
  add("POST", "/v1/models", PostModel);
}

}  // namespace edgeloop::mlops
