#include "platform/services/stream/log/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace edgeloop::stream {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

[[maybe_unused]] uint32_t Portable(std::span<const uint8_t> data, uint32_t state) {
  for (const uint8_t byte : data) state = (state >> 8) ^ kTable[(state ^ byte) & 0xFF];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Hardware(std::span<const uint8_t> data, uint32_t state) {
  const uint8_t* at = data.data();
  size_t left = data.size();
  uint64_t wide = state;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  state = static_cast<uint32_t>(wide);
  for (; left > 0; ++at, --left) state = _mm_crc32_u8(state, *at);
  return state;
}
#elif defined(__ARM_FEATURE_CRC32)
uint32_t Hardware(std::span<const uint8_t> data, uint32_t state) {
  const uint8_t* at = data.data();
  size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = __crc32cd(state, word);
  }
  for (; left > 0; ++at, --left) state = __crc32cb(state, *at);
  return state;
}
#endif

}  // namespace

uint32_t Crc32c(std::span<const uint8_t> data, uint32_t crc) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  return ~(hardware ? Hardware(data, ~crc) : Portable(data, ~crc));
#elif defined(__ARM_FEATURE_CRC32)
  return ~Hardware(data, ~crc);
#else
  return ~Portable(data, ~crc);
#endif
}

}  // namespace edgeloop::stream
