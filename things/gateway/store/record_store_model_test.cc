// Random operations on one store over a file system that crashes, tears writes, fills up and fails,
// against a model that knows what must still be there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "runtime/fs/fault_file_system.h"
#include "things/gateway/store/record_store.h"

namespace edgeloop::gateway {
namespace {

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), fs_(seed * 31 + 1) {}

  void Run(int operations) {
    Reopen();
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      now_ns_ += 50'000'000;
      switch (Pick(20)) {
        case 0:
          Crash();
          break;
        case 1:
          fs_.CrashAfter(1 + Pick(12));
          break;
        case 2:
          fs_.SetCapacity(20'000 + Pick(120'000));
          break;
        case 3:
          fs_.SetCapacity(UINT64_MAX);
          break;
        case 4:
          fs_.FailSyncs(static_cast<int>(1 + Pick(2)));
          break;
        case 5:
          fs_.FailWrites(static_cast<int>(1 + Pick(2)));
          break;
        case 6:
        case 7:
          Acknowledge();
          break;
        case 8:
        case 9:
        case 10:
          Check();
          break;
        case 11:
        case 12:
        case 13:
          Flush();
          break;
        default:
          Append();
      }
    }
    // At the end everything is well again: what the model holds durable must be there.
    Crash();
    Flush();
    Check();
  }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Append() {
    const uint64_t count = 1 + Pick(8);
    for (uint64_t i = 0; i < count; ++i) {
      const Kind kind = static_cast<Kind>(1 + Pick(4));
      std::string payload(Pick(kind == Kind::kRaw ? 3'000 : 400), 'x');
      for (char& c : payload) c = static_cast<char>(random_());
      const uint64_t seq = store_->Append(kind, payload);
      EXPECT_GT(seq, last_seq_);
      last_seq_ = seq;
      made_[seq] = {kind, std::move(payload)};
    }
  }

  void Flush() {
    const Status status = store_->Flush();
    if (fs_.crashed()) {
      Crash();
    } else if (status) {
      EXPECT_EQ(store_->stats().durable_seq, store_->stats().produced);
    }
    last_seq_ = store_->stats().produced;
  }

  void Acknowledge() {
    std::vector<StoredRecord> records;
    if (!store_->Read(0, 1 + Pick(40), SIZE_MAX, &records)) return;
    if (records.empty()) return;
    const Status status = store_->Acknowledge(records.back().position);
    EXPECT_TRUE(status.has_value()) << status.error().ToString();
    acked_ = std::max<uint64_t>(acked_, records.back().position.seq);
    EXPECT_EQ(store_->stats().acked_seq, acked_);
  }

  void Crash() {
    durable_ = std::max(durable_, store_->stats().durable_seq);
    store_.reset();
    fs_.Crash();
    fs_.CrashAfter(0);
    fs_.FailSyncs(0);
    fs_.FailWrites(0);
    fs_.SetCapacity(UINT64_MAX);
    Reopen();
    Check();
  }

  void Reopen() {
    auto store = RecordStore::Open(fs_, {.dir = "s",
                                         .max_bytes = 100'000,
                                         .segment_bytes = 6'000,
                                         .max_pending_bytes = 20'000,
                                         .now_ns = [this] { return now_ns_; }});
    ASSERT_TRUE(store.has_value()) << store.error().ToString();
    store_ = std::move(*store);
    EXPECT_GT(store_->boot(), boot_);
    boot_ = store_->boot();
    const StoreStats stats = store_->stats();
    EXPECT_GE(stats.produced, durable_) << "a number was given twice";
    EXPECT_LE(stats.acked_seq, acked_);
    acked_ = stats.acked_seq;
    last_seq_ = stats.produced;
    // Numbers above were never seen outside and are given anew.
    made_.erase(made_.upper_bound(stats.produced), made_.end());
  }

  void Check() {
    const StoreStats stats = store_->stats();
    EXPECT_LE(stats.disk_bytes, 100'000u + 3 * 4'096u);
    EXPECT_GE(stats.durable_seq, durable_);
    std::vector<StoredRecord> records;
    if (!store_->Read(0, SIZE_MAX, SIZE_MAX, &records)) return;  // a crashed file system
    durable_ = stats.durable_seq;
    std::vector<std::pair<uint64_t, uint64_t>> explained;
    RecordPosition before;
    for (const StoredRecord& record : records) {
      EXPECT_LT(before, record.position);
      EXPECT_LT(before.seq, record.position.seq);
      before = record.position;
      explained.push_back({record.position.seq, record.position.seq});
      if (record.kind == Kind::kLoss) {
        auto loss = DecodeLoss(record.payload);
        ASSERT_TRUE(loss.has_value());
        explained.push_back({loss->first_seq, loss->last_seq});
        continue;
      }
      const auto made = made_.find(record.position.seq);
      ASSERT_NE(made, made_.end()) << record.position.seq;
      EXPECT_EQ(made->second.first, record.kind);
      EXPECT_EQ(made->second.second, record.payload);
    }
    if (stats.produced != stats.durable_seq) return;  // LOSS records may wait in memory
    // Nothing is silently missing between the acknowledgement and the end.
    std::ranges::sort(explained);
    uint64_t next = stats.acked_seq + 1;
    for (const auto& [first, last] : explained) {
      EXPECT_LE(first, next) << "numbers " << next << ".." << first - 1 << " are missing";
      if (first > next) return;
      next = std::max(next, last + 1);
    }
    EXPECT_GT(next, stats.durable_seq);
  }

  std::mt19937_64 random_;
  fs::FaultFileSystem fs_;
  uint64_t now_ns_ = 1;
  std::unique_ptr<RecordStore> store_;
  std::map<uint64_t, std::pair<Kind, std::string>> made_;
  uint64_t boot_ = 0;
  uint64_t last_seq_ = 0;
  uint64_t durable_ = 0;
  uint64_t acked_ = 0;
};

TEST(RecordStoreModelTest, NothingIsSilentlyMissing) {
  uint64_t seed = std::random_device{}();
  int runs = 60;
  if (const char* given = std::getenv("EDGELOOP_SEED")) {
    seed = std::strtoull(given, nullptr, 10);
    runs = 1;
  }
  for (int i = 0; i < runs && !HasFailure(); ++i) {
    SCOPED_TRACE("repeat with EDGELOOP_SEED=" + std::to_string(seed + i));
    Simulation(seed + i).Run(400);
  }
  std::printf("seeds %llu..%llu\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(seed + runs - 1));
}

}  // namespace
}  // namespace edgeloop::gateway
