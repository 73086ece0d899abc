// Why a function of core/ refused. core/ has no exceptions and no strings to build: a code and its
// fixed text are all there is.
#pragma once

#include <cstdint>

namespace edgeloop::core {

enum class [[nodiscard]] Code : std::uint8_t {
  kOk,
  // Bytes of a model file that do not verify (docs/spec/elm.md).
  kTruncated,      // shorter than the header, or than the size it states
  kTrailingBytes,  // longer than the size the header states
  kBadMagic,
  kBadVersion,   // a format version this build does not know
  kBadChecksum,  // CRC-32C mismatch: damaged in storage or transfer
  kReservedNotZero,
  kBadName,         // not 1..48 characters of [a-z0-9-]
  kBadGeometry,     // sample rate, channels, window or hop outside the limits
  kBadSectionSize,  // a section's stated size is not what its content needs
  kBadPipeline,     // an operation is unknown, repeated, or has impossible parameters
  kBadNormalization,
  kBadNetwork,  // layers do not fit together, or a parameter is outside its limits
  kBadDecision,
  kBadHealth,
  kParameterNotFinite,  // a NaN or infinity among the parameters
  // Wrong calls.
  kBadSize,       // a span does not have the size that the model needs
  kBadWorkspace,  // workspace too small or not aligned to 16 bytes
  // Data.
  kNotFinite,  // a NaN or infinity among samples or features, or an overflow on the way
};

// A short sentence for logs, e.g. "checksum mismatch"; never null.
const char* CodeText(Code code);

}  // namespace edgeloop::core
