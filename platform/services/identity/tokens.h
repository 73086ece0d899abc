// One-time tokens: who holds one may enrol as the one name and unit it was made for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop::identity {

// A token is 256 random bits in hex. Only its SHA-256 is kept, as the name of a file in
// `directory`: taking a token is removing its file, which succeeds once however many processes try.
class Tokens {
 public:
  explicit Tokens(std::string directory) : directory_(std::move(directory)) {}

  Expected<std::string> Create(std::string_view common_name, std::string_view organizational_unit,
                               int64_t valid_s, int64_t now_s) const;
  // kUnauthenticated when there is no such token for this name and unit, or no longer.
  Status Take(std::string_view token, std::string_view common_name,
              std::string_view organizational_unit, int64_t now_s) const;

 private:
  std::string directory_;
};

}  // namespace edgeloop::identity
