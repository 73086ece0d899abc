#include "platform/services/bridge/ledger.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::bridge {
namespace {

constexpr std::string_view kDevice = "gw-01/motor-01";

sparkplug::DeviceState Told(uint64_t acked_seq, uint64_t produced) {
  sparkplug::DeviceState state;
  state.acked_seq = acked_seq;
  state.produced = produced;
  return state;
}

v1::TelemetryRecord Record(uint64_t boot, uint64_t seq) {
  v1::TelemetryRecord record;
  record.set_device(std::string(kDevice));
  record.set_boot(boot);
  record.set_seq(seq);
  return record;
}

class LedgerTest : public testing::Test {
 protected:
  Verdict Offer(uint64_t boot, uint64_t seq, uint64_t previous) {
    const Verdict verdict = ledger_.Judge(kDevice, {boot, seq}, previous);
    if (verdict == Verdict::kNext) last_ = ledger_.Take(Record(boot, seq));
    return verdict;
  }
  DeviceCounts Counts() { return ledger_.Counts().at(std::string(kDevice)); }

  Ledger ledger_{Recovered{}};
  Ledger::Taken last_;
};

TEST_F(LedgerTest, TakesInOrderAndWaitsForWhatStillExists) {
  EXPECT_EQ(ledger_.Born(kDevice, 1, Told(0, 0)), Birth::kGoesOn);
  EXPECT_EQ(Offer(1, 1, 0), Verdict::kNext);
  EXPECT_EQ(Offer(1, 3, 2), Verdict::kAhead);
  EXPECT_EQ(Offer(1, 4, 3), Verdict::kAhead);
  EXPECT_EQ(Offer(1, 1, 0), Verdict::kDuplicate);
  EXPECT_EQ(Offer(1, 2, 1), Verdict::kNext);
  EXPECT_EQ(Offer(1, 3, 2), Verdict::kNext);
  EXPECT_EQ(Offer(2, 4, 3), Verdict::kNext) << "a new boot goes on with the numbers";
  EXPECT_EQ(Counts().gaps, 0u);
}

TEST_F(LedgerTest, TheFirstRecordCannotBeSkipped) {
  ledger_.Born(kDevice, 1, Told(0, 5));
  EXPECT_EQ(Offer(1, 3, 2), Verdict::kAhead);
  EXPECT_EQ(Offer(1, 1, 0), Verdict::kNext);
}

TEST_F(LedgerTest, GapIsTakenCountedAndExplained) {
  ledger_.Born(kDevice, 1, Told(0, 0));
  Offer(1, 1, 0);
  EXPECT_EQ(Offer(1, 5, 1), Verdict::kNext);  // 2, 3, 4 dropped
  EXPECT_EQ(last_.gap, 3u);
  EXPECT_EQ(Offer(1, 7, 5), Verdict::kNext);  // 6 dropped
  v1::TelemetryRecord loss = Record(1, 8);
  loss.mutable_loss()->set_first_seq(2);
  loss.mutable_loss()->set_last_seq(4);
  loss.mutable_loss()->set_raw(2);
  loss.mutable_loss()->set_features(1);
  ASSERT_EQ(ledger_.Judge(kDevice, {1, 8}, 7), Verdict::kNext);
  EXPECT_EQ(ledger_.Take(loss).explained, 3u);
  EXPECT_EQ(Counts().gaps, 4u);
  EXPECT_EQ(Counts().explained, 3u) << "nobody has accounted for 6";
}

TEST_F(LedgerTest, AcksFollowDurabilityNotReceipt) {
  ledger_.Born(kDevice, 1, Told(0, 0));
  Offer(1, 1, 0);
  Offer(1, 2, 1);
  EXPECT_FALSE(ledger_.HasDueAcks());
  EXPECT_EQ(Offer(1, 1, 0), Verdict::kDuplicate);
  EXPECT_FALSE(ledger_.HasDueAcks()) << "not durable yet";
  ledger_.Durable(kDevice, {1, 1}, 2, 40);
  auto acks = ledger_.DueAcks();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].position, (RecordPosition{1, 1}));
  EXPECT_FALSE(ledger_.HasDueAcks());
  Offer(1, 1, 0);
  EXPECT_TRUE(ledger_.HasDueAcks()) << "the device has not heard";
}

TEST_F(LedgerTest, CheckpointHoldsWhatIsDurableAlone) {
  ledger_.Born(kDevice, 1, Told(0, 0));
  Offer(1, 1, 0);
  Offer(1, 2, 1);
  v1::Positions positions;
  EXPECT_FALSE(ledger_.Checkpoint(&positions));
  ledger_.Durable(kDevice, {1, 1}, 2, 40);
  ASSERT_TRUE(ledger_.Checkpoint(&positions));
  EXPECT_EQ(positions.devices().at(std::string(kDevice)).seq(), 1u);
  EXPECT_EQ(positions.telemetry_offsets().at(2), 41);
  EXPECT_FALSE(ledger_.Checkpoint(&positions));
  ledger_.CheckpointFailed();
  EXPECT_TRUE(ledger_.Checkpoint(&positions));
}

TEST_F(LedgerTest, EmptiedStoreNumbersAnew) {
  ledger_.Born(kDevice, 1, Told(0, 0));
  for (uint64_t seq = 1; seq <= 9; ++seq) Offer(1, seq, seq - 1);
  EXPECT_EQ(ledger_.Born(kDevice, 2, Told(0, 0)), Birth::kRestarted);
  EXPECT_EQ(Offer(2, 2, 1), Verdict::kAhead) << "1 of boot 2 was lost on the way";
  EXPECT_EQ(Offer(2, 1, 0), Verdict::kNext);
  EXPECT_EQ(Offer(2, 2, 1), Verdict::kNext);
  EXPECT_EQ(Counts().gaps, 0u);
}

TEST_F(LedgerTest, EarlierBootIsRefusedUntilAProperBirth) {
  ledger_.Born(kDevice, 7, Told(0, 0));
  Offer(7, 1, 0);
  EXPECT_EQ(ledger_.Born(kDevice, 1, Told(0, 0)), Birth::kRegressed);
  EXPECT_EQ(Offer(1, 1, 0), Verdict::kRefused) << "must not look like a duplicate";
  EXPECT_EQ(ledger_.Born(kDevice, 8, Told(1, 1)), Birth::kGoesOn);
  EXPECT_EQ(Offer(8, 2, 1), Verdict::kNext);
}

TEST_F(LedgerTest, EmptiedStreamGoesOnWithAGap) {
  Ledger fresh{Recovered{}};
  EXPECT_EQ(fresh.Born(kDevice, 3, Told(500, 510)), Birth::kRebased);
  EXPECT_EQ(fresh.Judge(kDevice, {3, 502}, 501), Verdict::kAhead);
  EXPECT_EQ(fresh.Judge(kDevice, {3, 501}, 500), Verdict::kNext);

  Ledger behind{Recovered{{{std::string(kDevice), {3, 100}}}, {}}};
  EXPECT_EQ(behind.Born(kDevice, 3, Told(500, 510)), Birth::kRebased);
  ASSERT_EQ(behind.Judge(kDevice, {3, 501}, 500), Verdict::kNext);
  EXPECT_EQ(behind.Take(Record(3, 501)).gap, 400u);
}

// A device with a bounded store, a lossy path, and a bridge that crashes: whatever happens, the
// stream holds in order and once every record that the device has not dropped.
TEST(LedgerSimulationTest, NothingLostNothingTwiceInOrder) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto chance = [&](int percent) { return int(random() % 100) < percent; };
    uint64_t boot = 1, produced = 0, acked = 0;
    std::map<uint64_t, uint64_t> store;  // seq -> boot
    std::set<uint64_t> dropped;
    std::vector<RecordPosition> stream;
    auto ledger = std::make_unique<Ledger>(Recovered{});
    ledger->Born(kDevice, boot, Told(acked, produced));
    for (int step = 0; step < 300 || !store.empty(); ++step) {
      ASSERT_LT(step, 5'000) << "does not come to an end";
      if (step < 300) {
        for (int i = int(random() % 4); i > 0; --i) store[++produced] = boot;
        if (chance(5)) {
          ++boot;  // the gateway restarts
          ledger->Born(kDevice, boot, Told(acked, produced));
        }
        while (store.size() > 20) {
          auto victim = std::next(store.begin(), long(random() % store.size()));
          dropped.insert(victim->first);
          store.erase(victim);
        }
      }
      // One resend of the whole store; each message may be lost, the bridge may die in between.
      uint64_t previous = acked;
      for (const auto& [seq, record_boot] : store) {
        if (!chance(step < 300 ? 30 : 0)) {
          const RecordPosition position{record_boot, seq};
          if (ledger->Judge(kDevice, position, previous) == Verdict::kNext) {
            ledger->Take(Record(position.boot, position.seq));
            stream.push_back(position);
            ledger->Durable(kDevice, position, 0, int64_t(stream.size()));
          }
        }
        previous = seq;
        if (chance(1)) {
          Recovered recovered;
          if (!stream.empty()) recovered.devices[std::string(kDevice)] = stream.back();
          ledger = std::make_unique<Ledger>(recovered);
          ledger->Born(kDevice, boot, Told(acked, produced));
        }
      }
      if (chance(60)) {
        for (const auto& ack : ledger->DueAcks()) {
          acked = std::max<uint64_t>(acked, ack.position.seq);
          store.erase(store.begin(), store.upper_bound(acked));
        }
      }
    }
    std::set<uint64_t> seen;
    for (size_t i = 0; i < stream.size(); ++i) {
      EXPECT_TRUE(seen.insert(stream[i].seq).second) << "twice: " << stream[i].seq;
      if (i > 0) EXPECT_LT(stream[i - 1], stream[i]);
    }
    for (uint64_t seq = 1; seq <= produced; ++seq) {
      EXPECT_TRUE(seen.contains(seq) || dropped.contains(seq)) << "lost: " << seq;
    }
  }
}

}  // namespace
}  // namespace edgeloop::bridge
