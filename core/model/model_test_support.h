// Shared by the tests of core/model and core/node: golden files, aligned scratch, signals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "core/base/crc32c.h"

namespace edgeloop::model {

inline std::vector<std::uint8_t> Golden(const std::string& name) {
  std::ifstream file(std::string(EDGELOOP_SOURCE_DIR "/core/model/testdata/") + name,
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Makes the checksum right again after a change, so that the check behind it is reached.
inline void Seal(std::vector<std::uint8_t>& file) {
  const std::span<const std::uint8_t> all(file);
  const std::uint32_t crc = core::Crc32c(all.first(all.size() - 4));
  for (std::size_t i = 0; i < 4; ++i) {
    file[file.size() - 4 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
  }
}

class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : blocks_((bytes + sizeof(Block) - 1) / sizeof(Block)) {}
  std::span<std::byte> span() { return std::as_writable_bytes(std::span(blocks_)); }

 private:
  struct alignas(16) Block {
    std::byte bytes[16];
  };
  std::vector<Block> blocks_;
};

// Reproducible noise in -1..1 by integer arithmetic alone (Knuth's MMIX generator).
inline std::vector<float> IntegerNoise(std::size_t count, std::uint64_t seed) {
  std::vector<float> x(count);
  for (float& v : x) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    v = static_cast<float>(static_cast<std::int32_t>(seed >> 32) >> 8) / 8388608.0F;
  }
  return x;
}

}  // namespace edgeloop::model
