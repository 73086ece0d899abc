// Random operations on one log over a file system that crashes, tears, fills up and fails. The
// model is the promise to producers and consumers: what was acknowledged is there exactly once, at
// its offset, in order; what was not may be there, once, in order. Each run prints its seed when it
// fails.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <random>

#include "platform/services/stream/log/partition_log.h"
#include "platform/services/stream/log/test_batch.h"
#include "runtime/fs/fault_file_system.h"

namespace edgeloop::stream {
namespace {

using test::BatchSpec;
using test::MakeBatch;

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), fs_(seed * 7 + 1) {
    options_.segment_bytes = 2000 + random_() % 4000;
    EXPECT_TRUE(fs_.MakeDirs("/log"));
    EXPECT_TRUE(fs_.SyncDir("/log"));
    for (int64_t id = 1; id <= 3; ++id) producers_.push_back({.id = id});
  }

  void Run(int steps) {
    ASSERT_NO_FATAL_FAILURE(Open());
    for (int i = 0; i < steps; ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      ASSERT_NO_FATAL_FAILURE(Step());
    }
    fs_.SetCapacity(UINT64_MAX);
    ASSERT_NO_FATAL_FAILURE(Crash());
    // All that was ever sent arrives in the end.
    for (int round = 0; round < 50; ++round) {
      for (Producer& producer : producers_) Send(&producer);
      ASSERT_NO_FATAL_FAILURE(Sync());
    }
    for (const Producer& producer : producers_) ASSERT_TRUE(producer.queue.empty());
    ASSERT_NO_FATAL_FAILURE(Verify());
  }

 private:
  struct Pending {
    int32_t sequence = 0;
    int32_t records = 0;
    bool sent = false;
    AppendResult result;
  };
  // A client: sends in order, at most five in flight, and again from the first that failed.
  struct Producer {
    int64_t id = 0;
    int32_t next_sequence = 0;
    std::deque<Pending> queue;
  };

  void Step() {
    switch (random_() % 40) {
      case 0:
        return Crash();
      case 1:
        fs_.CrashAfter(1 + random_() % 20);
        return;
      case 2:
        fs_.FailSyncs(1);
        return;
      case 3:
        fs_.FailWrites(1 + static_cast<int>(random_() % 3));
        return;
      case 4:
        fs_.SetCapacity(random_() % 2 == 0 ? UINT64_MAX : random_() % 60000);
        return;
      case 5:
        return CleanRestart();
      case 6:
        return Verify();
      default:
        break;
    }
    if (random_() % 3 == 0) return Sync();
    Producer& producer = producers_[random_() % producers_.size()];
    if (producer.queue.size() < 5) {
      const auto records = static_cast<int32_t>(1 + random_() % 4);
      producer.queue.push_back({producer.next_sequence, records});
      producer.next_sequence += records;
    }
    Send(&producer);
  }

  std::string Value(const Producer& producer, int32_t sequence) {
    return std::to_string(producer.id) + "/" + std::to_string(sequence) +
           std::string(static_cast<size_t>(sequence * 37 % 200), 'x');
  }

  void Send(Producer* producer) {
    for (Pending& pending : producer->queue) {
      if (pending.sent) continue;
      BatchSpec spec{
          .producer_id = producer->id, .producer_epoch = 0, .base_sequence = pending.sequence};
      for (int32_t i = 0; i < pending.records; ++i) {
        spec.records.push_back({std::nullopt, Value(*producer, pending.sequence + i)});
      }
      auto batch = MakeBatch(spec);
      pending.result = log_->Append(batch, *CheckProducedBatch(batch));
      // Sent is sent: a client with five in flight does not wait for the answer to the first.
      pending.sent = true;
      if (random_() % 8 == 0) break;
    }
  }

  void Sync() {
    const bool synced = log_->Sync().has_value();
    for (Producer& producer : producers_) {
      bool failed = false;
      while (!producer.queue.empty() && producer.queue.front().sent && !failed) {
        const Pending& pending = producer.queue.front();
        const bool good =
            pending.result.code == AppendCode::kOk || pending.result.code == AppendCode::kDuplicate;
        if (good && log_->IsDurable(pending.result)) {
          for (int32_t i = 0; i < pending.records; ++i) {
            const auto [at, fresh] = acknowledged_.emplace(pending.result.base_offset + i,
                                                           Value(producer, pending.sequence + i));
            ASSERT_TRUE(fresh) << "offset " << at->first << " acknowledged twice";
          }
          producer.queue.pop_front();
        } else {
          failed = true;
        }
      }
      // What was sent behind a failure was refused, or is a duplicate when sent again.
      for (Pending& pending : producer.queue) {
        if (failed && pending.sent) {
          const bool good = pending.result.code == AppendCode::kOk;
          ASSERT_FALSE(good && log_->IsDurable(pending.result)) << "a batch overtook another";
        }
        pending.sent = false;
      }
    }
    if (!synced && fs_.crashed()) Crash();
  }

  void Crash() {
    log_.reset();
    fs_.Crash();
    Open();
  }

  void CleanRestart() {
    const bool closed = log_->Close().has_value();
    if (!closed && fs_.crashed()) return Crash();
    log_.reset();
    Open();
  }

  void Open() {
    for (Producer& producer : producers_) {
      for (Pending& pending : producer.queue) pending.sent = false;
    }
    const uint64_t capacity_was_limited = random_() % 2;
    if (capacity_was_limited != 0) fs_.SetCapacity(UINT64_MAX);
    for (;;) {
      RecoveryReport report;
      auto log = PartitionLog::Open(fs_, "/log", options_, &report);
      if (!log) {
        // The disk is full or failing, or the power went while recovering: again.
        ASSERT_NE(log.error().code(), ErrorCode::kCorrupt) << log.error().ToString();
        if (fs_.crashed()) fs_.Crash();
        fs_.SetCapacity(UINT64_MAX);
        continue;
      }
      ASSERT_TRUE(report.damage.empty()) << report.damage.front();
      log_ = std::move(*log);
      break;
    }
    Verify();
  }

  void Verify() {
    if (fs_.crashed()) return Crash();
    std::map<int64_t, std::string> read;
    const OffsetRange range = log_->offsets();
    for (int64_t offset = range.start; offset < range.end;) {
      std::vector<uint8_t> bytes;
      const Status status = log_->Read(offset, 1000, true, &bytes);
      ASSERT_TRUE(status) << status.error().ToString();
      ASSERT_FALSE(bytes.empty());
      for (std::span<const uint8_t> rest(bytes); !rest.empty();) {
        const auto header = ParseBatchHeader(rest);
        ASSERT_TRUE(header);
        ASSERT_EQ(header->base_offset, offset) << "a hole";
        ASSERT_TRUE(ForEachRecord(rest.first(header->size), *header, [&](const Record& record) {
          read[record.offset] = std::string(record.value->begin(), record.value->end());
          return true;
        }));
        offset = header->next_offset();
        rest = rest.subspan(header->size);
      }
    }
    for (const auto& [offset, value] : acknowledged_) {
      ASSERT_EQ(read[offset], value) << "acknowledged at offset " << offset;
    }
    // Each producer's records: once, in order, from its first.
    std::map<std::string, int32_t> next;
    for (const auto& [offset, value] : read) {
      const size_t slash = value.find('/');
      const std::string id = value.substr(0, slash);
      ASSERT_EQ(std::atoi(value.c_str() + slash + 1), next[id])
          << "producer " << id << " at " << offset;
      ++next[id];
    }
  }

  std::mt19937_64 random_;
  fs::FaultFileSystem fs_;
  LogOptions options_;
  std::unique_ptr<PartitionLog> log_;
  std::vector<Producer> producers_;
  std::map<int64_t, std::string> acknowledged_;
};

TEST(LogModelTest, AcknowledgedRecordsSurviveExactlyOnceInOrder) {
  // EDGELOOP_SEED=<n> repeats one run; EDGELOOP_SEEDS=<count> makes more.
  const char* one = std::getenv("EDGELOOP_SEED");
  const char* many = std::getenv("EDGELOOP_SEEDS");
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t count = one != nullptr    ? 1
                         : many != nullptr ? std::strtoull(many, nullptr, 10)
                                           : 400;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(testing::Message() << "EDGELOOP_SEED=" << seed);
    Model(seed).Run(300);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace edgeloop::stream
