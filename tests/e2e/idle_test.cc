// No service busy-waits: what the platform costs when nothing happens.
#include <gtest/gtest.h>

#include <cstdio>
#include <thread>

#include "runtime/process/child.h"
#include "tests/live/live_site.h"

namespace edgeloop::live {
namespace {

constexpr double kMaxResidentMib = 150;
constexpr double kMaxCpuShare = 0.05;  // of one core
constexpr std::chrono::seconds kObserved{10};

struct Total {
  double resident_mib = 0;
  double cpu_s = 0;
};

Total UsageOfAll(const LiveSite& live, const std::vector<std::string>& names) {
  Total total;
  for (const auto& name : names) {
    const auto usage = process::UsageOf(live.Process(name).pid);
    EXPECT_TRUE(usage) << name;
    if (!usage) continue;
    total.resident_mib += static_cast<double>(usage->resident_bytes) / (1 << 20);
    total.cpu_s += usage->cpu_seconds;
  }
  return total;
}

TEST(IdleTest, ThePlatformIdlesBelowItsBudget) {
  auto started = LiveSite::Start(LiveSite::OptionsFor(4, {{"type", "motor"}}));
  ASSERT_TRUE(started) << started.error().ToString();
  LiveSite& live = **started;
  // The machines stop: nothing is left to sense.
  ASSERT_TRUE(
      live.Drain(R"({"segments":[{"id":"last","seed":1,"duration_s":0.5}],"loop_last":false})"));
  const std::vector<std::string> names = {"mosquitto", "identity", "stream", "registry", "bridge",
                                          "sidecar",   "module",   "mlops",  "gw-01",    "gw-02"};
  const Total before = UsageOfAll(live, names);
  std::this_thread::sleep_for(kObserved);  // an interval to measure over, not a wait
  const Total after = UsageOfAll(live, names);
  const double share = (after.cpu_s - before.cpu_s) / static_cast<double>(kObserved.count());
  std::printf("idle: %.1f MiB resident, %.1f %% of one core\n", after.resident_mib, 100 * share);
  EXPECT_LT(after.resident_mib, kMaxResidentMib);
  EXPECT_LT(share, kMaxCpuShare);
}

}  // namespace
}  // namespace edgeloop::live
