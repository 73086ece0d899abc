// The one error type of the hosted code: what went wrong, where, and what to do about it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace edgeloop {

// Coarse reasons a caller may act on; the text is for people.
enum class ErrorCode {
  kInvalidArgument,  // the caller's value is wrong; retrying cannot help
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,   // identity known, right missing
  kUnauthenticated,    // identity missing or not trusted
  kCorrupt,            // bytes from outside do not verify
  kResourceExhausted,  // a named limit was reached (size, queue, disk)
  kUnavailable,        // the peer or device is away; retrying may help
  kTimeout,
  kCancelled,  // we are shutting down
  kUnimplemented,
  kInternal,
};

std::string_view ErrorCodeName(ErrorCode code);

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from one level up: "<context>: <message>".
  Error In(std::string_view context) const;

  // "corrupt: model.elm: crc mismatch ..."
  std::string ToString() const;

 private:
  ErrorCode code_;
  std::string message_;
};

template <typename T>
using Expected = std::expected<T, Error>;
using Status = std::expected<void, Error>;

// fmt-style factory: return Fail(ErrorCode::kCorrupt, "bad magic at byte " + ...).
inline std::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error(code, std::move(message)));
}
inline std::unexpected<Error> Fail(const Error& error) { return std::unexpected<Error>(error); }
inline std::unexpected<Error> Fail(const Error& error, std::string_view context) {
  return std::unexpected<Error>(error.In(context));
}

}  // namespace edgeloop
