// A YAML document as a small tree with line numbers (yaml-cpp inside). Only what configuration
// needs: mappings, sequences and scalars; no anchors, aliases, tags or second documents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::config {

inline constexpr int kMaxDepth = 16;
inline constexpr size_t kMaxNodes = 100'000;

struct Value {
  enum class Kind { kNull, kScalar, kMapping, kSequence };
  Kind kind = Kind::kNull;
  int line = 1;
  bool plain = false;  // an unquoted scalar: only these can be numbers and booleans
  std::string scalar;
  std::vector<std::string> keys;  // of a mapping: unique, one for each element
  std::vector<Value> elements;

  const Value* Find(std::string_view key) const;
};

// Errors are "<name>:<line>: <what is wrong>". An empty document is an empty mapping.
Expected<Value> ParseDocument(std::string_view text, std::string_view name);

}  // namespace edgeloop::config
