#include "inference/processing/history.h"

#include <gtest/gtest.h>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::processing {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST(DeviceHistory, KeepsSecondsInFullAndMinutesThinned) {
  DeviceHistory history(
      HistoryLimits{.recent_ms = 1'000, .recent_windows = 100, .step_ms = 500, .older_windows = 5});
  for (uint64_t i = 0; i <= 100; ++i) {  // 10 s, every 100 ms
    history.Add({"a"}, {.sensed_at_ns = i * 100 * kMs, .alarm = i >= 95, .features = {1.0f}});
  }
  EXPECT_EQ(history.size(), 11u + 5u);
  EXPECT_NEAR(history.AlarmFraction(1'000), 6.0 / 11, 1e-12);
  EXPECT_NEAR(history.AlarmFraction(50), 1.0 / 3, 1e-12);  // one window proves little
  v1::ModuleRequest request;
  history.AppendTo(&request);
  ASSERT_EQ(request.history_size(), 16);
  EXPECT_EQ(request.history(0).feature_names_size(), 1);
  EXPECT_EQ(request.history(1).feature_names_size(), 0);
  for (int i = 1; i < 5; ++i) {
    EXPECT_EQ(request.history(i).sensed_at_ns() - request.history(i - 1).sensed_at_ns(), 500 * kMs);
  }
  EXPECT_EQ(request.history(15).sensed_at_ns(), 10'000 * kMs);
}

TEST(DeviceHistory, IsBoundedWhateverTheRate) {
  DeviceHistory history(HistoryLimits{.recent_windows = 50, .older_windows = 20});
  for (uint64_t i = 0; i < 10'000; ++i) history.Add({}, {.sensed_at_ns = i * kMs / 100});
  EXPECT_LE(history.size(), 70u);
}

TEST(DeviceHistory, StartsAnewWithOtherFeaturesOrAClockSetBack) {
  DeviceHistory history({});
  EXPECT_TRUE(history.empty());
  EXPECT_EQ(history.AlarmFraction(1'000), 0);
  history.Add({"a"}, {.sensed_at_ns = 5'000 * kMs, .features = {1}});
  history.Add({"a"}, {.sensed_at_ns = 6'000 * kMs, .features = {1}});
  EXPECT_EQ(history.size(), 2u);
  history.Add({"b"}, {.sensed_at_ns = 7'000 * kMs, .features = {1}});
  EXPECT_EQ(history.size(), 1u);
  history.Add({"b"}, {.sensed_at_ns = 1'000 * kMs, .features = {1}});
  EXPECT_EQ(history.size(), 1u);
  EXPECT_EQ(history.newest().sensed_at_ns, 1'000 * kMs);
}

}  // namespace
}  // namespace edgeloop::processing
