#include "cli/demo/world.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/demo/report.h"

namespace edgeloop::demo {
namespace {

v1::TelemetryRecord Window(const std::string& device, uint64_t seq, uint64_t sensed_at_ns,
                           bool alarm) {
  v1::TelemetryRecord record;
  record.set_device(device);
  record.set_boot(1);
  record.set_seq(seq);
  record.set_kind(v1::FEATURES);
  record.set_sensed_at_ns(sensed_at_ns);
  record.set_alarm(alarm);
  return record;
}

TEST(World, CountsEachRecordOnce) {
  World world;
  world.Add(Window("a", 1, 100, false), 0);
  world.Add(Window("a", 2, 200, true), 0);
  world.Add(Window("a", 2, 200, true), 0);
  world.Add(Window("b", 1, 100, false), 0);
  EXPECT_EQ(world.Records(), 3u);
  EXPECT_EQ(world.Windows(), 3u);
  EXPECT_EQ(world.devices["a"].duplicates, 1u);
  EXPECT_EQ(world.devices["a"].out_of_order, 0u);
}

TEST(World, NoticesDisorder) {
  World world;
  world.Add(Window("a", 2, 200, false), 0);
  world.Add(Window("a", 1, 100, false), 0);
  EXPECT_EQ(world.devices["a"].out_of_order, 1u);
}

TEST(World, CountsOnlyWindowsThatLieWhollyInside) {
  World world;
  for (uint64_t i = 1; i <= 10; ++i) world.Add(Window("a", i, i * 100, i % 2 == 0), 0);
  // Windows of 150 ns: the one at 300 reaches back to 150.
  const auto count = world.CountIn({{"a", 160, 700}}, 150);
  EXPECT_EQ(count.windows, 4u);  // 400, 500, 600, 700
  EXPECT_EQ(count.alarms, 2u);
  EXPECT_DOUBLE_EQ(count.AlarmRate(), 0.5);
  EXPECT_EQ(world.CountIn({{"other", 0, 1000}}, 0).windows, 0u);
}

TEST(World, CountsTripsAndTheirLatency) {
  World world;
  auto record = Window("a", 1, 100, true);
  record.set_kind(v1::ALARM);
  record.set_actuation_latency_us(900);
  record.set_actuator_open(true);
  world.Add(record, 0);
  EXPECT_EQ(world.Trips(), 1u);
  EXPECT_TRUE(world.devices["a"].open);
  EXPECT_EQ(world.actuation_latency_us, std::vector<double>{900});
}

TEST(World, NearestRankPercentiles) {
  EXPECT_EQ(Percentile({}, 0.5), 0);
  EXPECT_EQ(Percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Percentile({1, 2, 3, 4}, 0.99), 4);
  EXPECT_EQ(Percentile({5}, 0), 5);
}

TEST(Report, HasTheFieldsThatAreAskedFor) {
  Report report;
  report.drift.push_back({.at_s = 1, .features = {"ch0.rms"}, .psi = {2.5}});
  report.rollouts.push_back({.model = "motor", .version = 1});
  report.rejected_models.push_back({.device = "a", .kind = "rejected", .reason = "signature"});
  report.services_rss_mib["stream"] = 9;
  const auto json = ToJson(report);
  for (const char* key :
       {"devices", "windows", "records", "actuation_latency_us", "data_age_ms", "faults", "drift",
        "rollouts", "rejected_models", "services_rss_mib", "elapsed_s"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  for (const char* key : {"produced", "durable", "lost", "duplicates_removed"}) {
    EXPECT_TRUE(json["records"].contains(key)) << key;
  }
  for (const char* key : {"p50", "p99", "max"}) {
    EXPECT_TRUE(json["actuation_latency_us"].contains(key)) << key;
  }
  for (const char* key : {"model", "version", "devices_updated", "champion_f1", "challenger_f1",
                          "false_alarm_rate_before", "false_alarm_rate_after"}) {
    EXPECT_TRUE(json["rollouts"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["drift"][0]["psi"][0], 2.5);
  EXPECT_FALSE(Summary(report).empty());
}

}  // namespace
}  // namespace edgeloop::demo
