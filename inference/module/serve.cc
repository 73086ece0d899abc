#include "inference/module/serve.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::module {
namespace {

constexpr frame::Timeout kWriteTimeout{5'000};

// Answers one request after another; returns why no more.
Error Answer(frame::Connection& connection, const InferFunction& infer,
             const frame::Interrupt& interrupt) {
  while (true) {
    auto payload = connection.Read(interrupt, frame::Timeout(-1));
    if (!payload) return payload.error();
    v1::ModuleRequest request;
    if (!request.ParseFromString(*payload)) {
      return Error(ErrorCode::kCorrupt, "the sidecar sent a frame that is no ModuleRequest");
    }
    v1::ModuleResponse response;
    response.set_id(request.id());
    auto inference = infer(request);
    if (inference) {
      *response.mutable_inference() = std::move(*inference);
    } else {
      response.set_error(inference.error().message());
    }
    const Status sent = connection.Write(response.SerializeAsString(), interrupt, kWriteTimeout);
    if (!sent) return sent.error();
  }
}

}  // namespace

void Serve(const std::string& socket_path, const InferFunction& infer,
           const frame::Interrupt& interrupt, const std::function<void(const Error&)>& on_lost) {
  frame::Timeout back_off = kFirstBackOff;
  while (!interrupt.IsSet()) {
    auto connection = frame::Connect(socket_path);
    if (connection) {
      const Error error = Answer(*connection, infer, interrupt);
      if (error.code() == ErrorCode::kCancelled) return;
      on_lost(error);
      back_off = kFirstBackOff;
    } else {
      on_lost(connection.error());
    }
    (void)frame::WaitReadable(interrupt.fd(), interrupt, back_off);  // sleeps, unless stopped
    back_off = std::min(2 * back_off, kLongestBackOff);
  }
}

}  // namespace edgeloop::module
