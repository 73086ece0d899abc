// Content-addressed files: a blob is there whole and right, or not at all.
#pragma once

#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop::registry {

class BlobStore {
 public:
  // Makes the directory if need be and removes what an interrupted upload left.
  static Expected<BlobStore> Open(const std::string& directory);

  // Idempotent. kInvalidArgument: too large or not of this digest; kResourceExhausted: disk full.
  Status Put(std::string_view digest, std::string_view bytes) const;
  // kNotFound; kCorrupt when the disk has not kept it.
  Expected<std::string> Get(std::string_view digest) const;

 private:
  explicit BlobStore(std::string directory) : directory_(std::move(directory)) {}
  std::string PathOf(std::string_view digest) const;

  std::string directory_;
};

}  // namespace edgeloop::registry
