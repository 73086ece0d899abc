// Pulls plugs: real processes are killed with -9, or held, in the middle of a run.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "tests/live/live_site.h"

namespace edgeloop::live {
namespace {

constexpr const char* kRunning =
    R"({"segments":[{"id":"run","seed":3,"duration_s":2,"speed_rpm":1480,"load":0.5}],)"
    R"("loop_last":true})";
constexpr const char* kLast =
    R"({"segments":[{"id":"last","seed":4,"duration_s":0.5,"speed_rpm":1480,"load":0.5}],)"
    R"("loop_last":false})";

uint64_t AckedOf(const LiveSite& live, const std::string& device) {
  const auto counters = live.Counters(device);
  return counters ? counters->acked_seq : 0;
}

::testing::AssertionResult AcksAdvance(const LiveSite& live, uint64_t by) {
  for (const auto& device : live.devices()) {
    const uint64_t before = AckedOf(live, device);
    if (!Eventually([&] { return AckedOf(live, device) >= before + by; })) {
      return ::testing::AssertionFailure() << device << " stays at " << AckedOf(live, device);
    }
  }
  return ::testing::AssertionSuccess();
}

// Every number from 1 to the last is there once and in order, but for those that LOSS records name;
// and they name as many as the device itself has counted.
void ExpectWhole(const std::string& device, const std::vector<v1::TelemetryRecord>& records,
                 const DeviceCounters& counters) {
  uint64_t next = 1;
  uint64_t boot = 0;
  uint64_t named = 0;
  std::vector<std::pair<uint64_t, uint64_t>> gaps, losses;  // first, last
  for (const auto& record : records) {
    ASSERT_GE(record.boot(), boot) << device << ": boots out of order at seq " << record.seq();
    boot = record.boot();
    ASSERT_GE(record.seq(), next) << device << ": twice or out of order";
    if (record.seq() > next) gaps.emplace_back(next, record.seq() - 1);
    if (record.has_loss()) {
      losses.emplace_back(record.loss().first_seq(), record.loss().last_seq());
      named += record.loss().raw() + record.loss().features() + record.loss().alarms();
    }
    next = record.seq() + 1;
  }
  EXPECT_EQ(next, counters.produced + 1) << device;
  uint64_t missing = 0;
  for (const auto& [first, last] : gaps) {
    missing += last - first + 1;
    for (uint64_t seq = first; seq <= last; ++seq) {
      ASSERT_TRUE(std::ranges::any_of(
          losses, [&](const auto& loss) { return loss.first <= seq && seq <= loss.second; }))
          << device << ": nothing explains that seq " << seq << " is missing";
    }
  }
  // What a store dropped before it was acknowledged may have reached the stream all the same.
  EXPECT_LE(missing, named) << device;
  EXPECT_EQ(named, counters.dropped_raw + counters.dropped_features + counters.dropped_alarms)
      << device;
}

TEST(FaultTest, NothingIsLostWhenEveryProcessIsKilledAgainAndAgain) {
  auto started = LiveSite::Start(LiveSite::OptionsFor(3, {{"type", "motor"}}));
  ASSERT_TRUE(started) << started.error().ToString();
  LiveSite& live = **started;
  for (const auto& device : live.devices()) {
    const auto played = live.Play(device, kRunning);
    ASSERT_TRUE(played) << played.error().ToString();
  }
  ASSERT_TRUE(AcksAdvance(live, 20));

  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    for (const char* process : {"gw-01", "bridge", "stream", "mosquitto", "registry", "mlops"}) {
      SCOPED_TRACE(std::string("round ") + std::to_string(round) + ", killed " + process);
      ASSERT_TRUE(live.KillAndAwait(process));
      if (process == std::string("gw-01")) {
        for (const auto& device : live.devices()) {
          if (device.starts_with("gw-01")) ASSERT_TRUE(live.Play(device, kRunning));
        }
      }
      ASSERT_TRUE(AcksAdvance(live, 10));
    }
  }

  ASSERT_TRUE(live.Drain(kLast));
  const auto telemetry = live.ReadTelemetry();
  ASSERT_TRUE(telemetry) << telemetry.error().ToString();
  for (const auto& device : live.devices()) {
    ASSERT_TRUE(telemetry->contains(device)) << device;
    const auto counters = live.Counters(device);
    ASSERT_TRUE(counters) << counters.error().ToString();
    EXPECT_EQ(counters->dropped_raw + counters->dropped_features + counters->dropped_alarms, 0u);
    ExpectWhole(device, telemetry->at(device), *counters);
  }
}

TEST(FaultTest, AStoreThatOverflowsSaysExactlyWhatItDropped) {
  site::Options options = LiveSite::OptionsFor(1, {{"type", "motor"}});
  options.store_mib = 1;
  options.pace = 20;
  auto started = LiveSite::Start(options);
  ASSERT_TRUE(started) << started.error().ToString();
  LiveSite& live = **started;
  const std::string device = live.devices().front();
  ASSERT_TRUE(live.Play(device, kRunning));
  ASSERT_TRUE(AcksAdvance(live, 20));

  live.Signal("bridge", SIGSTOP);
  const bool overflowed = Eventually([&] {
    const auto counters = live.Counters(device);
    return counters && counters->dropped_features > 0;
  });
  live.Signal("bridge", SIGCONT);
  ASSERT_TRUE(overflowed);

  ASSERT_TRUE(live.Drain(kLast));
  const auto telemetry = live.ReadTelemetry();
  ASSERT_TRUE(telemetry) << telemetry.error().ToString();
  const auto counters = live.Counters(device);
  ASSERT_TRUE(counters) << counters.error().ToString();
  EXPECT_GT(counters->dropped_features, 0u);
  EXPECT_EQ(counters->dropped_alarms, 0u) << "alarms are the last to go";
  ExpectWhole(device, telemetry->at(device), *counters);
}

}  // namespace
}  // namespace edgeloop::live
