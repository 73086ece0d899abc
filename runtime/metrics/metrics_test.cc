#include "runtime/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edgeloop::metrics {
namespace {

using testing::HasSubstr;

TEST(Metrics, TextHoldsEveryKind) {
  Registry registry;
  Counter records = registry.AddCounter("records_total", "Records.", {{"kind", "raw"}});
  records.Add();
  records.Add(2);
  Gauge depth = registry.AddGauge("queue_depth", "Waiting.");
  depth.Set(-1.5);
  Histogram age = registry.AddHistogram("age_seconds", "Age.", {0.1, 1});
  age.Observe(0.5);
  EXPECT_EQ(records.Value(), 3);
  EXPECT_EQ(depth.Value(), -1.5);

  const std::string text = registry.Text();
  EXPECT_THAT(text, HasSubstr("# TYPE records_total counter\nrecords_total{kind=\"raw\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("queue_depth -1.5\n"));
  EXPECT_THAT(text, HasSubstr("age_seconds_bucket{le=\"0.1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("age_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("age_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
}

TEST(Metrics, SameNameAndLabelsAreTheSameMetric) {
  Registry registry;
  registry.AddCounter("a_total", "A.", {{"topic", "x"}}).Add();
  Counter again = registry.AddCounter("a_total", "A.", {{"topic", "x"}});
  again.Add();
  registry.AddCounter("a_total", "A.", {{"topic", "y"}}).Add(5);
  EXPECT_EQ(again.Value(), 2);
  EXPECT_THAT(registry.Text(), HasSubstr("a_total{topic=\"y\"} 5\n"));
}

}  // namespace
}  // namespace edgeloop::metrics
