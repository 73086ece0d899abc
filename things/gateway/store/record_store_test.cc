#include "things/gateway/store/record_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/fs/fault_file_system.h"

namespace edgeloop::gateway {
namespace {

class RecordStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<RecordStore> Open(uint64_t max_bytes = 1u << 20,
                                    uint64_t segment_bytes = 16'384) {
    auto store = RecordStore::Open(fs_, {.dir = "store",
                                         .max_bytes = max_bytes,
                                         .segment_bytes = segment_bytes,
                                         .now_ns = [this] { return now_ns_; }});
    EXPECT_TRUE(store.has_value()) << store.error().ToString();
    return store ? std::move(*store) : nullptr;
  }

  static std::vector<StoredRecord> ReadAll(RecordStore& store, uint64_t after = 0) {
    std::vector<StoredRecord> records;
    const Status status = store.Read(after, SIZE_MAX, SIZE_MAX, &records);
    EXPECT_TRUE(status.has_value()) << status.error().ToString();
    return records;
  }

  fs::FaultFileSystem fs_{1};
  uint64_t now_ns_ = 1'700'000'000'000'000'000;
};

TEST_F(RecordStoreTest, HandsOutOnlyWhatIsDurableInOrder) {
  auto store = Open();
  EXPECT_EQ(store->boot(), 1u);
  EXPECT_EQ(store->Append(Kind::kEvent, "booted"), 1u);
  EXPECT_EQ(store->Append(Kind::kFeatures, "f"), 2u);
  EXPECT_EQ(store->Append(Kind::kRaw, "r"), 3u);
  EXPECT_TRUE(ReadAll(*store).empty());
  ASSERT_TRUE(store->Flush().has_value());
  const auto records = ReadAll(*store);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].payload, "booted");
  EXPECT_EQ(records[1].kind, Kind::kFeatures);
  EXPECT_EQ(records[2].position, (RecordPosition{1, 3}));
  EXPECT_EQ(ReadAll(*store, 2).size(), 1u);
}

TEST_F(RecordStoreTest, NumbersGoOnOverBootsAndRecordsKeepTheirBoot) {
  for (uint64_t boot = 1; boot <= 3; ++boot) {
    auto store = Open();
    EXPECT_EQ(store->boot(), boot);
    EXPECT_EQ(store->Append(Kind::kFeatures, "x"), boot);
    ASSERT_TRUE(store->Flush().has_value());
    fs_.Crash();
  }
  auto store = Open();
  const auto records = ReadAll(*store);
  ASSERT_EQ(records.size(), 3u);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(records[i].position, (RecordPosition{i + 1, i + 1}));
}

TEST_F(RecordStoreTest, AcknowledgedSegmentsLeaveTheDiskAndStayGoneAfterACrash) {
  auto store = Open();
  const std::string payload(1'000, 'x');
  for (int i = 0; i < 200; ++i) {
    store->Append(Kind::kFeatures, payload);
    ASSERT_TRUE(store->Flush().has_value());
  }
  const uint64_t full = store->stats().disk_bytes;
  ASSERT_TRUE(store->Acknowledge({1, 190}).has_value());
  ASSERT_TRUE(store->Flush().has_value());
  EXPECT_LT(store->stats().disk_bytes, full / 5);
  EXPECT_EQ(ReadAll(*store).front().position.seq, 191u);
  fs_.Crash();
  store = Open();
  EXPECT_EQ(store->stats().acked_seq, 190u);
  const auto records = ReadAll(*store);
  ASSERT_EQ(records.size(), 10u);
  EXPECT_EQ(records.front().position.seq, 191u);
  EXPECT_EQ(store->stats().dropped.total(), 0u);
}

TEST_F(RecordStoreTest, CleanCloseKeepsTheLastAcknowledgement) {
  auto store = Open();
  store->Append(Kind::kFeatures, "a");
  store->Append(Kind::kFeatures, "b");
  ASSERT_TRUE(store->Flush().has_value());
  ASSERT_TRUE(store->Acknowledge({1, 2}).has_value());
  ASSERT_TRUE(store->Close().has_value());
  store = Open();
  EXPECT_TRUE(ReadAll(*store).empty());
  EXPECT_EQ(store->Append(Kind::kFeatures, "c"), 3u);
}

TEST_F(RecordStoreTest, RefusesAnAcknowledgementOfWhatItNeverMade) {
  auto store = Open();
  store->Append(Kind::kFeatures, "a");
  ASSERT_TRUE(store->Flush().has_value());
  EXPECT_FALSE(store->Acknowledge({1, 2}).has_value());
  EXPECT_FALSE(store->Acknowledge({2, 1}).has_value());
  EXPECT_EQ(ReadAll(*store).size(), 1u);
}

TEST_F(RecordStoreTest, AnAcknowledgementOfAnOlderBootCoversThatBootOnly) {
  auto store = Open();
  for (int i = 0; i < 5; ++i) store->Append(Kind::kFeatures, "old");
  ASSERT_TRUE(store->Flush().has_value());
  store = Open();
  for (int i = 0; i < 5; ++i) store->Append(Kind::kFeatures, "new");
  ASSERT_TRUE(store->Flush().has_value());
  ASSERT_TRUE(store->Acknowledge({1, 9}).has_value());
  EXPECT_EQ(ReadAll(*store).front().position, (RecordPosition{2, 6}));
}

TEST_F(RecordStoreTest, OverflowDropsRawThenFeaturesThenAlarmsAndSaysSo) {
  auto store = Open(128 << 10, 8'192);
  const std::string payload(1'000, 'x');
  std::map<Kind, uint64_t> made;
  for (int i = 0; i < 40; ++i) {
    for (Kind kind : {Kind::kRaw, Kind::kFeatures, Kind::kAlarm}) {
      store->Append(kind, payload);
      ++made[kind];
    }
    ASSERT_TRUE(store->Flush().has_value());
    EXPECT_LE(store->stats().disk_bytes, 128u << 10);
  }
  StoreStats stats = store->stats();
  EXPECT_GT(stats.dropped.raw, 0u);
  EXPECT_EQ(stats.dropped.features, 0u);
  EXPECT_EQ(stats.dropped.alarms, 0u);
  for (int i = 0; i < 100; ++i) {
    store->Append(Kind::kAlarm, payload);
    ++made[Kind::kAlarm];
    ASSERT_TRUE(store->Flush().has_value());
  }
  stats = store->stats();
  EXPECT_EQ(stats.dropped.raw, made[Kind::kRaw]);
  EXPECT_EQ(stats.dropped.features, made[Kind::kFeatures]);
  EXPECT_GT(stats.dropped.alarms, 0u);

  // Every number is there or explained, and the explanations add up.
  LossCounts explained;
  std::vector<bool> covered(stats.produced + 1);
  uint64_t losses = 0;
  for (const StoredRecord& record : ReadAll(*store)) {
    covered[record.position.seq] = true;
    if (record.kind != Kind::kLoss) continue;
    ++losses;
    auto loss = DecodeLoss(record.payload);
    ASSERT_TRUE(loss.has_value());
    explained.Add(loss->counts);
    std::fill(covered.begin() + static_cast<int64_t>(loss->first_seq),
              covered.begin() + static_cast<int64_t>(loss->last_seq) + 1, true);
  }
  EXPECT_GT(losses, 0u);
  EXPECT_EQ(explained, stats.dropped);
  EXPECT_EQ(std::count(covered.begin() + 1, covered.end(), false), 0);
  // Totals outlive a crash.
  fs_.Crash();
  store = Open(128 << 10, 8'192);
  EXPECT_EQ(store->stats().dropped, stats.dropped);
}

TEST_F(RecordStoreTest, MemoryOverflowIsCountedAndExplained) {
  auto store = Open();
  const std::string payload(100'000, 'x');
  for (int i = 0; i < 10; ++i) store->Append(Kind::kFeatures, payload);
  const uint64_t lost = store->stats().dropped.features;
  EXPECT_GT(lost, 0u);
  EXPECT_FALSE(store->WaitForRoom(std::chrono::milliseconds(0)));
  ASSERT_TRUE(store->Flush().has_value());
  const auto records = ReadAll(*store);
  ASSERT_EQ(records.size(), 10 - lost + 1);
  auto loss = DecodeLoss(records.back().payload);
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->counts.features, lost);
  EXPECT_EQ(loss->last_seq, 10u);
}

TEST_F(RecordStoreTest, AFullDiskCostsTheOldestRawRecordsOnly) {
  auto store = Open(1 << 20, 8'192);
  const std::string payload(1'000, 'x');
  for (int i = 0; i < 50; ++i) {
    store->Append(i % 2 == 0 ? Kind::kRaw : Kind::kFeatures, payload);
    ASSERT_TRUE(store->Flush().has_value());
  }
  fs_.SetCapacity(60'000);
  for (int i = 0; i < 10; ++i) {
    store->Append(Kind::kAlarm, payload);
    const Status status = store->Flush();
    ASSERT_TRUE(status.has_value()) << status.error().ToString();
  }
  EXPECT_GT(store->stats().dropped.raw, 0u);
  EXPECT_EQ(store->stats().dropped.alarms, 0u);
  uint64_t alarms = 0;
  for (const auto& record : ReadAll(*store)) alarms += record.kind == Kind::kAlarm;
  EXPECT_EQ(alarms, 10u);
}

TEST_F(RecordStoreTest, AFailedSyncLosesNothing) {
  auto store = Open();
  store->Append(Kind::kFeatures, "a");
  ASSERT_TRUE(store->Flush().has_value());
  fs_.FailSyncs(1);
  store->Append(Kind::kFeatures, "b");
  EXPECT_FALSE(store->Flush().has_value());
  EXPECT_EQ(ReadAll(*store).size(), 1u);
  ASSERT_TRUE(store->Flush().has_value());
  EXPECT_EQ(ReadAll(*store).size(), 2u);
  fs_.Crash();
  EXPECT_EQ(ReadAll(*Open()).size(), 2u);
}

TEST_F(RecordStoreTest, BitRotIsExplainedByALossRecord) {
  auto store = Open();
  for (int i = 0; i < 10; ++i) store->Append(Kind::kFeatures, "payload");
  store->Append(Kind::kEvent, "event");
  ASSERT_TRUE(store->Flush().has_value());
  store.reset();
  auto entries = fs_.List("store");
  ASSERT_TRUE(entries.has_value());
  for (const auto& entry : *entries) {
    if (!entry.name.ends_with(".features")) continue;
    const uint64_t frame = kFrameHeaderBytes + 7;
    ASSERT_TRUE(
        fs_.Corrupt("store/" + entry.name, kSegmentHeaderBytes + 4 * frame + 22, 1).has_value());
  }
  store = Open();
  const auto records = ReadAll(*store);
  ASSERT_EQ(records.size(), 4u + 1 + 1);
  auto loss = DecodeLoss(records.back().payload);
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->first_seq, 5u);
  EXPECT_EQ(loss->last_seq, 10u);
  EXPECT_EQ(loss->counts.total(), 6u);
  EXPECT_EQ(store->Append(Kind::kFeatures, "on"), 13u);
}

TEST(RecordFormatTest, NamesSurviveTheRoundTripAndStrangersAreIgnored) {
  const Loss loss{.first_seq = 5,
                  .last_seq = kMaxNumber,
                  .counts = {1, 2, 3},
                  .segment = 0xabc,
                  .totals = {4, 5, UINT64_MAX}};
  const auto parsed = ParseName(TombstoneName(loss));
  ASSERT_TRUE(parsed && parsed->tombstone);
  EXPECT_EQ(parsed->tombstone->counts, loss.counts);
  EXPECT_EQ(parsed->tombstone->totals, loss.totals);
  EXPECT_LT(TombstoneName(loss).size(), 255u);
  EXPECT_EQ(ParseName(SegmentName(7, LossClass::kRaw))->number, 7u);
  for (const char* name : {"", "x", "0000000000000000.raw", "000000000000000g.raw",
                           "0000000000000001.lost-1", "0000000000000001.lost-2-1-0-0-0-0-0-0"}) {
    EXPECT_FALSE(ParseName(name).has_value()) << name;
  }
}

// The worked example of docs/spec/record-store.md.
TEST(RecordFormatTest, FrameIsTheOneOfTheSpecification) {
  std::vector<uint8_t> frame;
  EncodeRecordFrame(7, Kind::kEvent, "hi", &frame);
  const std::vector<uint8_t> body = {2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 'h', 'i'};
  ASSERT_EQ(frame.size(), 4 + body.size());
  EXPECT_TRUE(std::equal(body.begin(), body.end(), frame.begin() + 4));
  uint32_t crc;
  std::memcpy(&crc, frame.data(), 4);
  EXPECT_EQ(crc, 0xc8068c36u);
}

}  // namespace
}  // namespace edgeloop::gateway
