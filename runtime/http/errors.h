// Errors as HTTP status and JSON body, and back.
#pragma once

#include <string_view>

#include "contracts/error/error.h"
#include "runtime/http/server.h"

namespace edgeloop::http {

// The Error that ErrorResponse() made `response` from; for other servers one from the status.
Error ErrorOf(const Response& response);
// What a bare status (of cpp-httplib, of a proxy) stands for.
ErrorCode CodeOfStatus(int status);

}  // namespace edgeloop::http
