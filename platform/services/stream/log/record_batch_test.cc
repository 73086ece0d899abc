#include "platform/services/stream/log/record_batch.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "platform/services/stream/log/crc32c.h"
#include "platform/services/stream/log/test_batch.h"

namespace edgeloop::stream {
namespace {

using test::BatchSpec;
using test::MakeBatch;

TEST(Crc32cTest, KnownValues) {
  const std::string digits = "123456789";
  const auto* bytes = reinterpret_cast<const uint8_t*>(digits.data());
  EXPECT_EQ(Crc32c({bytes, 9}), 0xE3069283u);  // RFC 3720 B.4 check value
  EXPECT_EQ(Crc32c({bytes + 4, 5}, Crc32c({bytes, 4})), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::vector<uint8_t>(32, 0)), 0x8A9136AAu);
}

TEST(RecordBatchTest, AcceptsWhatAProducerSends) {
  const auto bytes = MakeBatch(BatchSpec{.records = {{"k", "v"}, {std::nullopt, std::nullopt}},
                                         .producer_id = 7,
                                         .producer_epoch = 1,
                                         .base_sequence = 3});
  auto header = CheckProducedBatch(bytes);
  ASSERT_TRUE(header) << header.error().ToString();
  EXPECT_EQ(header->size, bytes.size());
  EXPECT_EQ(header->record_count, 2);
  EXPECT_EQ(header->producer_id, 7);
  std::vector<Record> records;
  ASSERT_TRUE(ForEachRecord(bytes, *header, [&](const Record& record) {
    records.push_back(record);
    return true;
  }));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key->front(), 'k');
  EXPECT_EQ(records[1].offset, 1);
  EXPECT_EQ(records[1].timestamp_ms, 1'000'001);
  EXPECT_FALSE(records[1].value);
}

TEST(RecordBatchTest, RefusesEveryChangedByteUnderTheCrc) {
  const auto good = MakeBatch("some value");
  for (size_t i = 8; i < good.size(); ++i) {
    if (i >= 12 && i < 16) continue;  // leader epoch: not the producer's, outside of the CRC
    auto bad = good;
    bad[i] ^= 0x40;
    EXPECT_FALSE(CheckProducedBatch(bad)) << "byte " << i;
  }
}

TEST(RecordBatchTest, RefusesTwoBatchesAndNone) {
  auto two = MakeBatch("a");
  const auto one = two;
  two.insert(two.end(), one.begin(), one.end());
  EXPECT_EQ(CheckProducedBatch(two).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CheckProducedBatch({}).error().code(), ErrorCode::kCorrupt);
}

TEST(RecordBatchTest, CommitMarkTellsDistanceAndNoticesDamage) {
  auto bytes = MakeBatch("value");
  StampBatch(bytes, 123456, 789);
  auto header = ParseBatchHeader(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->base_offset, 123456);
  EXPECT_EQ(CommitDistance(*header), 789u);
  EXPECT_TRUE(BatchCrcMatches(bytes)) << "the CRC does not cover what was stamped";
  for (size_t byte = 0; byte < 16; ++byte) {
    auto damaged = bytes;
    damaged[byte] ^= 1;
    const auto parsed = ParseBatchHeader(damaged);
    EXPECT_TRUE(!parsed || !CommitDistance(*parsed)) << "byte " << byte;
  }
}

// The worked example of docs/spec/stream-log.md.
TEST(RecordBatchTest, SpecExample) {
  auto bytes = MakeBatch(BatchSpec{.records = {{"k", "v"}}});
  StampBatch(bytes, 1, 70);
  std::string hex;
  for (const uint8_t byte : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", byte);
    hex += text;
  }
  EXPECT_EQ(hex,
            "00000000000000010000003a000046b0020af457e70000000000000000000000"
            "0f424000000000000f4240ffffffffffffffffffffffffffff00000001100000"
            "00026b027600");
}

TEST(RecordBatchTest, FilterKeepsOffsets) {
  const auto bytes = MakeBatch(BatchSpec{.records = {{"a", "1"}, {"b", "2"}, {"c", "3"}}});
  const auto header = ParseBatchHeader(bytes);
  auto filtered =
      FilterBatch(bytes, *header, [](const Record& record) { return record.key->front() != 'b'; });
  ASSERT_TRUE(filtered);
  const auto after = ParseBatchHeader(*filtered);
  ASSERT_TRUE(after);
  EXPECT_TRUE(BatchCrcMatches(*filtered));
  EXPECT_EQ(after->last_offset_delta, 2);
  std::vector<int64_t> offsets;
  ASSERT_TRUE(ForEachRecord(*filtered, *after, [&](const Record& record) {
    offsets.push_back(record.offset);
    return true;
  }));
  EXPECT_EQ(offsets, (std::vector<int64_t>{0, 2}));
  auto none = FilterBatch(bytes, *header, [](const Record&) { return false; });
  EXPECT_TRUE(none && none->empty());
}

}  // namespace
}  // namespace edgeloop::stream
