#include <cstdlib>

#include "platform/mlops/dataset/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto snapshot = edgeloop::mlops::DecodeSnapshot({data, size});
  // What was accepted is canonical: it encodes to the very bytes it came from.
  if (snapshot) {
    const auto again = edgeloop::mlops::EncodeSnapshot(*snapshot);
    if (again.size() != size) std::abort();
  }
  return 0;
}
