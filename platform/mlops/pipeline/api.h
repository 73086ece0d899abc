// The HTTP API of edgeloop-mlops.
#pragma once

#include "platform/mlops/pipeline/controller.h"
#include "runtime/http/server.h"

namespace edgeloop::mlops {

// Services and operators may read and ask; devices may not.
void AddRoutes(http::Server& server, Controller& controller);

}  // namespace edgeloop::mlops
