// Record batches for tests: what a producer would send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"
#include "platform/services/stream/log/record_batch.h"

namespace edgeloop::stream::test {

struct TestRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;
};

struct BatchSpec {
  std::vector<TestRecord> records;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  int64_t timestamp_ms = 1'000'000;  // of the first record; each next one is 1 ms later
};

inline void PutVarint(std::vector<uint8_t>* out, int64_t value) {
  uint64_t bits = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  for (; bits >= 0x80; bits >>= 7) out->push_back(static_cast<uint8_t>(bits | 0x80));
  out->push_back(static_cast<uint8_t>(bits));
}

inline void PutText(std::vector<uint8_t>* out, const std::optional<std::string>& text) {
  PutVarint(out, text ? static_cast<int64_t>(text->size()) : -1);
  if (text) out->insert(out->end(), text->begin(), text->end());
}

inline std::vector<uint8_t> MakeBatch(const BatchSpec& spec) {
  std::vector<uint8_t> out(kBatchHeaderBytes);
  for (size_t i = 0; i < spec.records.size(); ++i) {
    std::vector<uint8_t> record{0};               // attributes
    PutVarint(&record, static_cast<int64_t>(i));  // timestamp delta
    PutVarint(&record, static_cast<int64_t>(i));  // offset delta
    PutText(&record, spec.records[i].key);
    PutText(&record, spec.records[i].value);
    PutVarint(&record, 0);  // headers
    PutVarint(&out, static_cast<int64_t>(record.size()));
    out.insert(out.end(), record.begin(), record.end());
  }
  const auto count = static_cast<int32_t>(spec.records.size());
  uint8_t* at = out.data();
  StoreBe<int32_t>(at + 8, static_cast<int32_t>(out.size() - kBatchPrefixBytes));
  StoreBe<int32_t>(at + 12, -1);  // leader epoch
  at[16] = 2;
  StoreBe<int32_t>(at + 23, count - 1);
  StoreBe<int64_t>(at + 27, spec.timestamp_ms);
  StoreBe<int64_t>(at + 35, spec.timestamp_ms + count - 1);
  StoreBe<int64_t>(at + 43, spec.producer_id);
  StoreBe<int16_t>(at + 51, spec.producer_epoch);
  StoreBe<int32_t>(at + 53, spec.base_sequence);
  StoreBe<int32_t>(at + 57, count);
  StoreBe<uint32_t>(at + 17, Crc32c(std::span(out).subspan(kBatchCrcStartBytes)));
  return out;
}

inline std::vector<uint8_t> MakeBatch(std::string value) {
  return MakeBatch(BatchSpec{.records = {{std::nullopt, std::move(value)}}});
}

}  // namespace edgeloop::stream::test
