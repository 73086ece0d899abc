// Primitive types of the Kafka protocol (https://kafka.apache.org/protocol.html#protocol_types).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/protocol/kafka_error.h"

namespace edgeloop::stream {

// Reads a request. After the first error everything reads as zero or empty and ok() is false: parse
// it all, then ask Finished() once. Views point into the request.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  // Nothing was malformed and nothing is left over.
  bool Finished() const { return ok_ && at_ == bytes_.size(); }

  int8_t Int8() { return Integer<int8_t>(); }
  int16_t Int16() { return Integer<int16_t>(); }
  int32_t Int32() { return Integer<int32_t>(); }
  int64_t Int64() { return Integer<int64_t>(); }
  bool Bool() { return Integer<int8_t>() != 0; }

  std::string_view String() {
    const auto text = NullableString();
    if (!text) ok_ = false;
    return text.value_or(std::string_view());
  }
  std::optional<std::string_view> NullableString() {
    const int16_t length = Int16();
    if (length == -1) return std::nullopt;
    return Text(Take(length));
  }
  std::span<const uint8_t> Bytes() {
    const auto bytes = NullableBytes();
    if (!bytes) ok_ = false;
    return bytes.value_or(std::span<const uint8_t>());
  }
  std::optional<std::span<const uint8_t>> NullableBytes() {
    const int32_t length = Int32();
    if (length == -1) return std::nullopt;
    return Take(length);
  }
  // The count of an array whose elements take at least `min_element_bytes`: never more than could
  // follow. A null array counts 0; `is_null` tells.
  int32_t Array(size_t min_element_bytes, bool* is_null = nullptr) {
    const int32_t count = Int32();
    if (is_null != nullptr) *is_null = count == -1;
    if (count == -1 && is_null != nullptr) return 0;
    if (count < 0 || static_cast<uint64_t>(count) * min_element_bytes > left()) {
      ok_ = false;
      return 0;
    }
    return count;
  }

  // Bytes read so far.
  size_t position() const { return at_; }

  // Flexible versions (KIP-482).
  std::string_view CompactString() {
    const uint32_t length = UnsignedVarint();
    if (length == 0) ok_ = false;
    return Text(Take(length == 0 ? 0 : static_cast<int64_t>(length) - 1));
  }
  void SkipTaggedFields() {
    for (uint32_t count = UnsignedVarint(); count > 0 && ok_; --count) {
      UnsignedVarint();
      Take(UnsignedVarint());
    }
  }

 private:
  size_t left() const { return bytes_.size() - at_; }

  template <typename T>
  T Integer() {
    if (!ok_ || left() < sizeof(T)) {
      ok_ = false;
      return T{};
    }
    const T value = LoadBe<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }
  std::span<const uint8_t> Take(int64_t count) {
    if (!ok_ || count < 0 || static_cast<uint64_t>(count) > left()) {
      ok_ = false;
      return {};
    }
    const auto taken = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return taken;
  }
  uint32_t UnsignedVarint() {
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const auto byte = static_cast<uint8_t>(Int8());
      value |= static_cast<uint32_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  static std::string_view Text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

// Builds a response: the frame length comes first and is set by Take().
class Writer {
 public:
  explicit Writer(int32_t correlation_id) : bytes_(sizeof(int32_t)) { Int32(correlation_id); }

  void Int8(int8_t value) { Integer(value); }
  void Int16(int16_t value) { Integer(value); }
  void Int32(int32_t value) { Integer(value); }
  void Int64(int64_t value) { Integer(value); }
  void Bool(bool value) { Integer<int8_t>(value ? 1 : 0); }
  void Error(KafkaError error) { Integer(static_cast<int16_t>(error)); }

  void String(std::string_view text) {
    Int16(static_cast<int16_t>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  void NullableString(const std::optional<std::string>& text) {
    if (text) {
      String(*text);
    } else {
      Int16(-1);
    }
  }
  void Bytes(std::span<const uint8_t> bytes) {
    Int32(static_cast<int32_t>(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void Array(size_t count) { Int32(static_cast<int32_t>(count)); }

  // Flexible versions; `count` below 127.
  void CompactArray(size_t count) { Int8(static_cast<int8_t>(count + 1)); }
  void NoTaggedFields() { Int8(0); }

  // For what is filled in later or appended by others.
  std::vector<uint8_t>& bytes() { return bytes_; }
  size_t Placeholder32() {
    Int32(0);
    return bytes_.size() - sizeof(int32_t);
  }
  void Set32(size_t at, int32_t value) { StoreBe(bytes_.data() + at, value); }

  std::vector<uint8_t> Take() && {
    Set32(0, static_cast<int32_t>(bytes_.size() - sizeof(int32_t)));
    return std::move(bytes_);
  }

 private:
  template <typename T>
  void Integer(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    StoreBe(bytes_.data() + at, value);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace edgeloop::stream
