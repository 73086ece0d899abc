// CRC-32C (Castagnoli, RFC 3720 B.4), as Kafka record batches carry it.
#pragma once

#include <cstdint>
#include <span>

namespace edgeloop::stream {

// The CRC of `data` appended to bytes whose CRC is `crc` (0 to begin).
uint32_t Crc32c(std::span<const uint8_t> data, uint32_t crc = 0);

}  // namespace edgeloop::stream
