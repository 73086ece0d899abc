// How a model is named and what exactly its publisher signs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace edgeloop {

struct ModelRef {
  std::string name;         // an id, see ids.h
  uint32_t version = 0;     // from 1, given by the publisher
  std::string digest;       // "sha256:" + 64 lower-case hex digits of the .elm file
  uint64_t size_bytes = 0;  // of the .elm file
};

inline constexpr uint64_t kMaxModelBytes = 8u << 20;

bool IsValidDigest(std::string_view digest);

// The bytes under the Ed25519 signature (RFC 8032). Name, version and size are signed with the
// digest, so that an old or renamed model cannot be passed off as a new one.
std::string ModelSigningText(const ModelRef& model);

}  // namespace edgeloop
