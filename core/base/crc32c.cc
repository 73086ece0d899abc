#include "core/base/crc32c.h"

#include <array>
#include <cstddef>

namespace edgeloop::core {
namespace {

constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78;
constexpr std::size_t kSlices = 4;  // 4 KiB of flash, four bytes a step

constexpr auto kTable = [] {
  std::array<std::array<std::uint32_t, 256>, kSlices> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kReflectedPolynomial : 0);
    table[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = table[slice - 1][byte];
      table[slice][byte] = (crc >> 8) ^ table[0][crc & 0xFF];
    }
  }
  return table;
}();

}  // namespace

std::uint32_t Crc32c(std::span<const std::uint8_t> bytes, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  const std::uint8_t* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 4; left -= 4, p += 4) {
    crc = kTable[3][(crc ^ p[0]) & 0xFF] ^ kTable[2][((crc >> 8) ^ p[1]) & 0xFF] ^
          kTable[1][((crc >> 16) ^ p[2]) & 0xFF] ^ kTable[0][(crc >> 24) ^ p[3]];
  }
  for (; left > 0; --left, ++p) crc = (crc >> 8) ^ kTable[0][(crc ^ *p) & 0xFF];
  return ~crc;
}

}  // namespace edgeloop::core
