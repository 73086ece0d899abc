#include "runtime/http/errors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace edgeloop::http {
namespace {

struct Row {
  ErrorCode code;
  int status;
};
constexpr Row kRows[] = {
    {ErrorCode::kInvalidArgument, 400},  {ErrorCode::kUnauthenticated, 401},
    {ErrorCode::kPermissionDenied, 403}, {ErrorCode::kNotFound, 404},
    {ErrorCode::kAlreadyExists, 409},    {ErrorCode::kResourceExhausted, 413},
    {ErrorCode::kCorrupt, 422},          {ErrorCode::kInternal, 500},
    {ErrorCode::kUnimplemented, 501},    {ErrorCode::kUnavailable, 503},
    {ErrorCode::kCancelled, 503},        {ErrorCode::kTimeout, 504},
};

// "not found" -> "not_found".
std::string JsonName(ErrorCode code) {
  std::string name(ErrorCodeName(code));
  std::ranges::replace(name, ' ', '_');
  return name;
}

}  // namespace

ErrorCode CodeOfStatus(int status) {
  for (const Row& row : kRows) {
    if (row.status == status) return row.code;
  }
  if (status == 429 || status == 507) return ErrorCode::kResourceExhausted;
  if (status == 502) return ErrorCode::kUnavailable;
  return status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kInternal;
}

Response ErrorResponse(const Error& error) {
  Response response;
  response.status = 500;
  for (const Row& row : kRows) {
    if (row.code == error.code()) response.status = row.status;
  }
  const nlohmann::json body = {
      {"error", {{"code", JsonName(error.code())}, {"message", error.message()}}}};
  // A message may quote bytes from outside that are not UTF-8.
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

Error ErrorOf(const Response& response) {
  ErrorCode code = CodeOfStatus(response.status);
  std::string message = "HTTP status " + std::to_string(response.status);
  const auto body = nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    const auto& error = body["error"];
    if (error.contains("message") && error["message"].is_string()) {
      message = error["message"].get<std::string>();
    }
    for (const Row& row : kRows) {
      if (error.contains("code") && error["code"] == JsonName(row.code)) code = row.code;
    }
  }
  return Error(code, std::move(message));
}

}  // namespace edgeloop::http
