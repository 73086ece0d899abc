#include "contracts/ids/model_ref.h"

#include <algorithm>

namespace edgeloop {

bool IsValidDigest(std::string_view digest) {
  constexpr std::string_view kPrefix = "sha256:";
  return digest.size() == kPrefix.size() + 64 && digest.starts_with(kPrefix) &&
         std::ranges::all_of(digest.substr(kPrefix.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string ModelSigningText(const ModelRef& model) {
  return "edgeloop-model-v1\n" + model.name + "\n" + std::to_string(model.version) + "\n" +
         model.digest + "\n" + std::to_string(model.size_bytes) + "\n";
}

}  // namespace edgeloop
