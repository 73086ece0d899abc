// Big-endian loads and stores: the byte order of the Kafka protocol and of our files.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace edgeloop::stream {

template <std::integral T>
T LoadBe(const uint8_t* from) {
  std::make_unsigned_t<T> value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (sizeof value > 1 && std::endian::native == std::endian::little) {
    value = std::byteswap(value);
  }
  return static_cast<T>(value);
}

template <std::integral T>
void StoreBe(uint8_t* to, T value) {
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  if constexpr (sizeof bits > 1 && std::endian::native == std::endian::little) {
    bits = std::byteswap(bits);
  }
  std::memcpy(to, &bits, sizeof bits);
}

}  // namespace edgeloop::stream
