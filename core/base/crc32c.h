// CRC-32C (Castagnoli), the checksum of our file formats.
#pragma once

#include <cstdint>
#include <span>

namespace edgeloop::core {

// Polynomial 0x1EDC6F41 reflected, initial value and final xor 0xFFFFFFFF (RFC 3720, appendix B.4).
// Continue a running checksum by passing the previous result as `seed`.
std::uint32_t Crc32c(std::span<const std::uint8_t> bytes, std::uint32_t seed = 0);

}  // namespace edgeloop::core
