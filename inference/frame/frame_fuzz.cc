#include <cstdlib>

#include "inference/frame/frame.h"

// The frames found do not depend on how the stream is cut into pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto decode = [&](size_t piece) {
    edgeloop::frame::Decoder decoder;
    std::string found;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const bool sound = decoder.Append(bytes.substr(at, piece)).has_value();
      while (auto payload = decoder.Next()) found += edgeloop::frame::Encode(*payload);
      if (!sound) break;
    }
    return found;
  };
  const std::string whole = decode(size + 1);
  if (!bytes.starts_with(whole) || !bytes.starts_with(decode(1))) std::abort();
  return 0;
}
