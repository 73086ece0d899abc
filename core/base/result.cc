#include "core/base/result.h"

namespace edgeloop::core {

const char* CodeText(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kTruncated:
      return "file is shorter than its header states";
    case Code::kTrailingBytes:
      return "file is longer than its header states";
    case Code::kBadMagic:
      return "not an .elm model file";
    case Code::kBadVersion:
      return "format version not supported by this build";
    case Code::kBadChecksum:
      return "checksum mismatch, file is damaged";
    case Code::kReservedNotZero:
      return "a reserved byte is not zero";
    case Code::kBadName:
      return "model name is not 1..48 characters of [a-z0-9-]";
    case Code::kBadGeometry:
      return "sample rate, channels, window or hop outside the limits";
    case Code::kBadSectionSize:
      return "a section does not have the size its content needs";
    case Code::kBadPipeline:
      return "feature pipeline has an unknown, repeated or impossible operation";
    case Code::kBadNormalization:
      return "normalisation parameters outside the limits";
    case Code::kBadNetwork:
      return "network layers do not fit together or exceed the limits";
    case Code::kBadDecision:
      return "decision thresholds or trip counts outside the limits";
    case Code::kBadHealth:
      return "health parameters outside the limits";
    case Code::kParameterNotFinite:
      return "a parameter is NaN or infinite";
    case Code::kBadSize:
      return "buffer does not have the size the model needs";
    case Code::kBadWorkspace:
      return "workspace too small or not aligned to 16 bytes";
    case Code::kNotFinite:
      return "NaN, infinity or overflow in samples or features";
  }
  return "unknown code";
}

}  // namespace edgeloop::core
