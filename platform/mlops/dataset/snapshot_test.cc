#include "platform/mlops/dataset/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace edgeloop::mlops {
namespace {

Snapshot Example() {
  Snapshot snapshot{.schema = {20000, 2048, {"ch0.rms", "ch0.peak"}}, .rows = {}};
  snapshot.rows = {
      {{1.5F, -2.0F}, "healthy", false, Purpose::kTraining, 0, 0},
      {{0.25F, 3.0F}, "inner_heavy", true, Purpose::kValidation, 3, 1},
      {{-1.0F, 0.0F}, "healthy", false, Purpose::kTraining, 1, 0},
  };
  Canonicalize(&snapshot);
  return snapshot;
}

TEST(Snapshot, RoundTrips) {
  const Snapshot snapshot = Example();
  const auto bytes = EncodeSnapshot(snapshot);
  const auto again = DecodeSnapshot(bytes);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(*again, snapshot);
}

// The worked example of docs/spec/snapshot.md.
TEST(Snapshot, HasTheSpecifiedBytes) {
  Snapshot snapshot{.schema = {20000, 2048, {"a"}},
                    .rows = {{{1.0F}, "ok", false, Purpose::kTraining, 2, 1}}};
  const std::vector<std::uint8_t> head = {'E', 'L', 'S', 'N', 'A', 'P', '1', '\n', 0x20, 0x4e, 0, 0,
                                          0,   8,   0,   0,   1,   0,   0,   0,    1,    0,    0, 0,
                                          1,   0,   0,   0,   1,   'a', 2,   'o',  'k',  0,    0, 0,
                                          1,   2,   0,   1,   0,   0,   0,   0x80, 0x3f};
  const auto bytes = EncodeSnapshot(snapshot);
  ASSERT_EQ(bytes.size(), head.size() + 32);
  EXPECT_TRUE(std::equal(head.begin(), head.end(), bytes.begin()));
}

TEST(Snapshot, OrderOfArrivalDoesNotChangeTheHash) {
  Snapshot a = Example();
  Snapshot b = a;
  std::ranges::reverse(b.rows);
  b.rows.push_back(b.rows.front());  // a duplicate
  Canonicalize(&b);
  EXPECT_EQ(SnapshotHash(EncodeSnapshot(a)), SnapshotHash(EncodeSnapshot(b)));
  b.rows[0].fold ^= 1;
  EXPECT_NE(SnapshotHash(EncodeSnapshot(a)), SnapshotHash(EncodeSnapshot(b)));
}

TEST(Snapshot, EveryDamagedByteIsNoticed) {
  const auto bytes = EncodeSnapshot(Example());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] ^= 1;
    EXPECT_FALSE(DecodeSnapshot(damaged)) << "byte " << i;
    EXPECT_FALSE(DecodeSnapshot(std::span(bytes).first(i))) << "length " << i;
  }
}

TEST(Snapshot, SavedUnderItsHash) {
  std::string pattern = testing::TempDir() + "snapshotXXXXXX";
  const std::string dir = ::mkdtemp(pattern.data());
  const auto hash = SaveSnapshot(dir, Example());
  ASSERT_TRUE(hash) << hash.error().ToString();
  EXPECT_EQ(SaveSnapshot(dir, Example()).value(), *hash);
  const auto loaded = LoadSnapshot(dir, *hash);
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(*loaded, Example());
  EXPECT_FALSE(LoadSnapshot(dir, "sha256:" + std::string(64, '0')));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace edgeloop::mlops
