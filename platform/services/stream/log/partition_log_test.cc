#include "platform/services/stream/log/partition_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/services/stream/log/test_batch.h"
#include "runtime/fs/fault_file_system.h"

namespace edgeloop::stream {
namespace {

using test::BatchSpec;
using test::MakeBatch;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kDir[] = "/log";

class PartitionLogTest : public ::testing::Test {
 protected:
  PartitionLogTest() : fs_(1) {
    EXPECT_TRUE(fs_.MakeDirs(kDir));
    Open();
  }

  void Open() {
    log_.reset();
    report_ = {};
    auto log = PartitionLog::Open(fs_, kDir, options_, &report_);
    ASSERT_TRUE(log) << log.error().ToString();
    log_ = std::move(*log);
  }

  AppendResult Append(std::vector<uint8_t> batch) {
    auto header = CheckProducedBatch(batch);
    EXPECT_TRUE(header) << header.error().ToString();
    return log_->Append(batch, *header);
  }
  AppendResult Append(const std::string& value) { return Append(MakeBatch(value)); }
  // Of an idempotent producer: one record.
  AppendResult Append(int64_t producer, int16_t epoch, int32_t sequence) {
    return Append(MakeBatch(BatchSpec{.records = {{std::nullopt, std::to_string(sequence)}},
                                      .producer_id = producer,
                                      .producer_epoch = epoch,
                                      .base_sequence = sequence}));
  }

  // "offset:value" of all records from the offset.
  std::vector<std::string> ReadAll(int64_t offset, size_t max_bytes = 1 << 20) {
    std::vector<std::string> values;
    while (offset < log_->offsets().end) {
      std::vector<uint8_t> bytes;
      const Status read = log_->Read(offset, max_bytes, true, &bytes);
      if (!read) {
        values.push_back(read.error().ToString());
        break;
      }
      for (std::span<const uint8_t> rest(bytes); !rest.empty();) {
        const auto header = ParseBatchHeader(rest);
        EXPECT_TRUE(header && header->size <= rest.size());
        EXPECT_EQ(header->commit_mark, 0xFFFFFFFFu) << "the mark is ours, not the clients'";
        EXPECT_TRUE(ForEachRecord(rest.first(header->size), *header, [&](const Record& record) {
          if (record.offset >= offset) {
            values.push_back(std::to_string(record.offset) + ":" +
                             std::string(record.value->begin(), record.value->end()));
          }
          return true;
        }));
        offset = header->next_offset();
        rest = rest.subspan(header->size);
      }
    }
    return values;
  }

  std::string LogPath(int64_t base) { return SegmentPath(kDir, base, kLogSuffix); }

  fs::FaultFileSystem fs_;
  LogOptions options_;
  RecoveryReport report_;
  std::unique_ptr<PartitionLog> log_;
};

TEST_F(PartitionLogTest, ShowsOnlyWhatIsSynced) {
  EXPECT_EQ(Append("a").base_offset, 0);
  EXPECT_EQ(Append("b").base_offset, 1);
  EXPECT_EQ(log_->offsets().end, 0);
  EXPECT_THAT(ReadAll(0), IsEmpty());
  ASSERT_TRUE(log_->Sync());
  EXPECT_THAT(ReadAll(0), ElementsAre("0:a", "1:b"));
  EXPECT_THAT(ReadAll(1), ElementsAre("1:b"));
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(log_->Read(2, 100, true, &bytes));
  EXPECT_EQ(log_->Read(3, 100, true, &bytes).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(log_->Read(-1, 100, true, &bytes).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(PartitionLogTest, OneSyncForManyAppends) {
  const uint64_t before = fs_.sync_count();
  for (int i = 0; i < 100; ++i) Append("x");
  ASSERT_TRUE(log_->Sync());
  EXPECT_EQ(fs_.sync_count() - before, 1u);
  ASSERT_TRUE(log_->Sync());
  EXPECT_EQ(fs_.sync_count() - before, 1u);
}

TEST_F(PartitionLogTest, ReadsWholeBatchesWithinTheLimit) {
  for (int i = 0; i < 10; ++i) Append(std::string(100, 'x'));
  ASSERT_TRUE(log_->Sync());
  std::vector<uint8_t> one;
  ASSERT_TRUE(log_->Read(0, 1, true, &one));
  std::vector<uint8_t> none;
  ASSERT_TRUE(log_->Read(0, 1, false, &none));
  EXPECT_TRUE(none.empty());
  std::vector<uint8_t> three;
  ASSERT_TRUE(log_->Read(0, one.size() * 3 + 5, false, &three));
  EXPECT_EQ(three.size(), one.size() * 3);
}

TEST_F(PartitionLogTest, RollsSegmentsAndFindsOffsetsAndTimes) {
  options_.segment_bytes = 1000;
  Open();
  for (int i = 0; i < 200; ++i) {
    Append(MakeBatch(BatchSpec{.records = {{std::nullopt, std::string(20, 'x')}},
                               .timestamp_ms = 1000 + i * 10}));
  }
  ASSERT_TRUE(log_->Sync());
  for (const bool reopened : {false, true}) {
    if (reopened) Open();
    EXPECT_THAT(report_.notes, IsEmpty());
    for (int64_t offset : {0, 1, 57, 198, 199}) {
      const auto all = ReadAll(offset, 300);
      ASSERT_THAT(all, SizeIs(static_cast<size_t>(200 - offset)));
      EXPECT_THAT(all.front(), HasSubstr(std::to_string(offset) + ":"));
    }
    EXPECT_EQ((*log_->FindTimestamp(0))->offset, 0);
    EXPECT_EQ((*log_->FindTimestamp(1501))->offset, 51);
    EXPECT_EQ((*log_->FindTimestamp(1501))->timestamp_ms, 1510);
    EXPECT_EQ((*log_->FindTimestamp(2990))->offset, 199);
    EXPECT_FALSE(log_->FindTimestamp(2991)->has_value());
  }
}

TEST_F(PartitionLogTest, IdempotentProducers) {
  EXPECT_EQ(Append(1, 0, 0).base_offset, 0);
  EXPECT_EQ(Append(1, 0, 1).base_offset, 1);
  EXPECT_EQ(Append(2, 0, 0).base_offset, 2);
  ASSERT_TRUE(log_->Sync());
  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    if (reopened) Open();
    const AppendResult again = Append(1, 0, 1);
    EXPECT_EQ(again.code, AppendCode::kDuplicate);
    EXPECT_EQ(again.base_offset, 1);
    EXPECT_EQ(Append(1, 0, 3).code, AppendCode::kOutOfOrderSequence);
    EXPECT_EQ(Append(2, 1, 5).code, AppendCode::kOutOfOrderSequence);
  }
  EXPECT_EQ(Append(2, 1, 0).code, AppendCode::kOk) << "a new epoch begins at 0";
  EXPECT_EQ(Append(2, 0, 1).code, AppendCode::kStaleProducerEpoch);
}

TEST_F(PartitionLogTest, ProducersAreKnownWithoutASnapshot) {
  options_.segment_bytes = 500;
  Open();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(Append(1, 0, i).code, AppendCode::kOk);
  ASSERT_TRUE(log_->Sync());
  auto entries = fs_.List(kDir);
  for (const fs::DirEntry& entry : *entries) {
    if (entry.name.ends_with(kProducersSuffix)) {
      ASSERT_TRUE(fs_.Corrupt(std::string(kDir) + "/" + entry.name, 10, 0xFF));
    }
  }
  Open();
  EXPECT_EQ(Append(1, 0, 49).code, AppendCode::kDuplicate);
  EXPECT_EQ(Append(1, 0, 44).code, AppendCode::kOutOfOrderSequence) << "five batches are kept";
  EXPECT_EQ(Append(1, 0, 50).code, AppendCode::kOk);
}

TEST_F(PartitionLogTest, SequencesWrap) {
  EXPECT_EQ(Append(1, 0, INT32_MAX).code, AppendCode::kOk);
  EXPECT_EQ(Append(1, 0, 0).code, AppendCode::kOk);
  EXPECT_EQ(Append(1, 0, INT32_MAX).code, AppendCode::kDuplicate);
}

TEST_F(PartitionLogTest, AFailedSyncTakesBackAndKeepsTheOrder) {
  EXPECT_EQ(Append(1, 0, 0).code, AppendCode::kOk);
  ASSERT_TRUE(log_->Sync());
  const AppendResult lost = Append(1, 0, 1);
  const AppendResult other = Append(2, 0, 0);
  fs_.FailSyncs(1);
  EXPECT_FALSE(log_->Sync());
  EXPECT_FALSE(log_->IsDurable(lost));
  EXPECT_FALSE(log_->IsDurable(other));
  // What the producers had in flight behind the lost batches must not get in before them.
  EXPECT_EQ(Append(1, 0, 2).code, AppendCode::kOutOfOrderSequence);
  EXPECT_EQ(Append(2, 0, 1).code, AppendCode::kOutOfOrderSequence);
  const AppendResult retried = Append(1, 0, 1);
  EXPECT_EQ(Append(2, 0, 0).code, AppendCode::kOk);
  ASSERT_TRUE(log_->Sync());
  EXPECT_TRUE(log_->IsDurable(retried));
  EXPECT_FALSE(log_->IsDurable(lost)) << "another batch has its offset now";
  EXPECT_THAT(ReadAll(0), ElementsAre("0:0", "1:1", "2:0"));
}

TEST_F(PartitionLogTest, AFullDiskRefusesAndRecoversByItself) {
  EXPECT_EQ(Append(1, 0, 0).code, AppendCode::kOk);
  ASSERT_TRUE(log_->Sync());
  fs_.SetCapacity(log_->size_bytes() + 10);
  EXPECT_EQ(Append(1, 0, 1).code, AppendCode::kStorageError);
  EXPECT_EQ(Append(1, 0, 2).code, AppendCode::kOutOfOrderSequence);
  EXPECT_EQ(Append(9, 0, 0).code, AppendCode::kStorageError);
  EXPECT_EQ(Append(9, 0, 1).code, AppendCode::kOutOfOrderSequence);
  EXPECT_THAT(ReadAll(0), ElementsAre("0:0"));
  fs_.SetCapacity(UINT64_MAX);
  EXPECT_EQ(Append(1, 0, 1).code, AppendCode::kOk);
  EXPECT_EQ(Append(9, 0, 0).code, AppendCode::kOk);
  ASSERT_TRUE(log_->Sync());
  EXPECT_THAT(ReadAll(0), ElementsAre("0:0", "1:1", "2:0"));
  Open();
  EXPECT_THAT(report_.notes, IsEmpty());
}

TEST_F(PartitionLogTest, TornTailIsCut) {
  Append("a");
  ASSERT_TRUE(log_->Sync());
  const uint64_t good = log_->size_bytes();
  {
    auto file = fs_.Open(LogPath(0), fs::OpenMode::kReadWrite);
    const auto half = MakeBatch("b");
    ASSERT_TRUE((*file)->WriteAt(good, std::span(half).first(half.size() - 3)));
    ASSERT_TRUE((*file)->Sync());
  }
  Open();
  EXPECT_THAT(report_.damage, IsEmpty());
  ASSERT_THAT(report_.notes, SizeIs(1));
  EXPECT_THAT(report_.notes[0], HasSubstr("torn tail at byte " + std::to_string(good)));
  EXPECT_EQ(Append("c").base_offset, 1);
  ASSERT_TRUE(log_->Sync());
  EXPECT_THAT(ReadAll(0), ElementsAre("0:a", "1:c"));
}

TEST_F(PartitionLogTest, DamageInTheMiddleLosesOnlyItsBatch) {
  uint64_t second_begins = 0;
  for (const char* value : {"a", "b", "c", "d"}) {
    Append(value);
    ASSERT_TRUE(log_->Sync());  // each acknowledged before the next is written
    if (second_begins == 0) second_begins = log_->size_bytes();
  }
  const uint64_t batch_bytes = second_begins;
  // Wherever the damage is in the batch: offset, length, mark, CRC, records.
  for (uint64_t byte = 0; byte < batch_bytes; ++byte) {
    SCOPED_TRACE(byte);
    auto original = fs::ReadFile(fs_, LogPath(0), 1 << 20);
    ASSERT_TRUE(fs_.Corrupt(LogPath(0), second_begins + byte, 0x55));
    Open();
    ASSERT_THAT(report_.damage, SizeIs(1));
    EXPECT_THAT(report_.damage[0], HasSubstr("offsets 1..1 are lost"));
    EXPECT_THAT(ReadAll(0), ElementsAre("0:a", "2:c", "3:d"));
    const std::string side =
        "/log/00000000000000000000-" + std::to_string(second_begins) + ".damaged";
    EXPECT_EQ(fs::ReadFile(fs_, side, 1 << 20)->size(), batch_bytes);
    Open();
    EXPECT_THAT(report_.damage, IsEmpty()) << "told once";
    ASSERT_TRUE(fs::WriteFileAtomically(fs_, LogPath(0), *original));
  }
}

TEST_F(PartitionLogTest, DamageToTheEndIsToldAfterACleanStop) {
  Append("a");
  Append("b");
  ASSERT_TRUE(log_->Close());
  ASSERT_TRUE(fs_.Corrupt(LogPath(0), log_->size_bytes() - 1, 0xFF));
  Open();
  ASSERT_THAT(report_.damage, SizeIs(1));
  EXPECT_THAT(report_.damage[0], HasSubstr("offsets from 1 are lost"));
  EXPECT_THAT(ReadAll(0), ElementsAre("0:a"));
}

TEST_F(PartitionLogTest, DamageInASealedSegmentIsSeenWhenReadAndQuarantinedAtTheNextScan) {
  options_.segment_bytes = 300;
  Open();
  for (int i = 0; i < 20; ++i) Append(std::to_string(i));
  ASSERT_TRUE(log_->Sync());
  ASSERT_TRUE(fs_.Corrupt(LogPath(0), 80, 0xFF));
  Open();
  EXPECT_THAT(ReadAll(0),
              ElementsAre("0:0", HasSubstr("corrupt: /log/00000000000000000000.log: damaged")));
  ASSERT_TRUE(fs_.Remove(SegmentPath(kDir, 0, kIndexSuffix)));
  Open();
  EXPECT_THAT(report_.damage, SizeIs(1));
  EXPECT_THAT(ReadAll(0), SizeIs(19));
}

TEST_F(PartitionLogTest, RetentionByBytesAndTime) {
  options_.segment_bytes = 300;
  options_.retention_bytes = 600;
  Open();
  for (int i = 0; i < 50; ++i) {
    Append(MakeBatch(BatchSpec{.records = {{std::nullopt, "x"}}, .timestamp_ms = i}));
  }
  ASSERT_TRUE(log_->Sync());
  ASSERT_TRUE(log_->ApplyRetention(0));
  EXPECT_GT(log_->offsets().start, 30);
  EXPECT_LT(log_->size_bytes(), 1000u);
  const int64_t start = log_->offsets().start;
  Open();
  EXPECT_EQ(log_->offsets().start, start);
  options_.retention_ms = 10;
  Open();
  ASSERT_TRUE(log_->ApplyRetention(1000));
  EXPECT_EQ(log_->offsets().start, 50);
  EXPECT_EQ(log_->offsets().end, 50);
  Open();
  EXPECT_EQ(log_->offsets().end, 50) << "offsets go on where they were";
}

TEST_F(PartitionLogTest, CompactionKeepsTheLastOfEachKeyAndTombstonesForAWhile) {
  options_.segment_bytes = 300;
  options_.compact = true;
  options_.tombstone_retention_ms = 1000;
  Open();
  const auto put = [&](const std::string& key, std::optional<std::string> value) {
    Append(MakeBatch(BatchSpec{.records = {{key, std::move(value)}}, .timestamp_ms = 5000}));
  };
  for (int i = 0; i < 30; ++i) put("k" + std::to_string(i % 3), "v" + std::to_string(i));
  put("k0", std::nullopt);
  for (int i = 0; i < 10; ++i) put("last", std::to_string(i));
  ASSERT_TRUE(log_->Sync());
  ASSERT_TRUE(log_->Compact(5500));
  const auto keys = [&] {
    std::vector<std::string> found;
    std::vector<uint8_t> bytes;
    for (int64_t offset = log_->offsets().start; offset < log_->offsets().end;) {
      bytes.clear();
      const Status read = log_->Read(offset, 1, true, &bytes);
      EXPECT_TRUE(read) << read.error().ToString();
      if (bytes.empty()) break;  // the end was compacted away
      const auto header = ParseBatchHeader(bytes);
      EXPECT_TRUE(ForEachRecord(bytes, *header, [&](const Record& record) {
        found.emplace_back(record.key->begin(), record.key->end());
        found.back() += record.value ? "=" + std::string(record.value->begin(), record.value->end())
                                     : " deleted";
        return true;
      }));
      offset = header->next_offset();
    }
    return found;
  };
  for (const bool reopened : {false, true}) {
    if (reopened) Open();
    auto found = keys();
    EXPECT_THAT(report_.damage, IsEmpty());
    EXPECT_EQ(std::ranges::count(found, "k0 deleted"), 1);
    EXPECT_EQ(std::ranges::count(found, "k1=v28"), 1);
    EXPECT_EQ(std::ranges::count(found, "k2=v29"), 1);
    EXPECT_EQ(std::ranges::count(found, "last=9"), 1);
    EXPECT_EQ(std::ranges::count(found, "k1=v25"), 0);
  }
  ASSERT_TRUE(log_->Compact(7000));
  EXPECT_EQ(std::ranges::count(keys(), "k0 deleted"), 0) << "tombstones go when they are old";
}

}  // namespace
}  // namespace edgeloop::stream
