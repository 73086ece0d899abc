// The HTTP interface of the authority. README.md lists it.
#pragma once

#include <string>
#include <string_view>

#include "platform/services/identity/authority.h"
#include "platform/services/identity/tokens.h"
#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"

namespace edgeloop::identity {

// {"csr_pem": "...", "token": "..."}; renewal has no token.
struct EnrolBody {
  std::string csr_pem;
  std::string token;
};
Expected<EnrolBody> ParseEnrolBody(std::string_view json, bool with_token);

void AddRoutes(http::Server& server, Authority& authority, const Tokens& tokens,
               metrics::Registry& registry);

}  // namespace edgeloop::identity
