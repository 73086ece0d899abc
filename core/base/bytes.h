// Little-endian loads from byte streams of any alignment.
#pragma once

#include <bit>
#include <cstdint>

namespace edgeloop::core {

inline std::uint16_t LoadU16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>(p[0] | (p[1] << 8));
}
inline std::uint32_t LoadU32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
         static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}
inline std::int32_t LoadI32(const std::uint8_t* p) { return static_cast<std::int32_t>(LoadU32(p)); }
inline float LoadF32(const std::uint8_t* p) { return std::bit_cast<float>(LoadU32(p)); }

// Without <cmath>: constexpr, and not confused by compiler flags.
inline constexpr bool IsFinite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7F800000U) != 0x7F800000U;
}

}  // namespace edgeloop::core
