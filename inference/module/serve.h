// The module's side of the socket: answers the sidecar's requests, reconnects with back-off.
#pragma once

#include <functional>
#include <string>

#include "contracts/error/error.h"
#include "inference/frame/frame.h"

namespace edgeloop::v1 {
class Inference;
class ModuleRequest;
}  // namespace edgeloop::v1

namespace edgeloop::module {

using InferFunction = std::function<Expected<v1::Inference>(const v1::ModuleRequest&)>;

inline constexpr frame::Timeout kFirstBackOff{100};
inline constexpr frame::Timeout kLongestBackOff{5'000};

// Until interrupted. A request that cannot be answered gets an answer with the error; a frame that
// is no request ends the connection. `on_lost` is told why each connection ended or was not made.
void Serve(const std::string& socket_path, const InferFunction& infer,
           const frame::Interrupt& interrupt, const std::function<void(const Error&)>& on_lost);

}  // namespace edgeloop::module
