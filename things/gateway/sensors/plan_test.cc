#include "things/gateway/sensors/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "things/gateway/sensors/test_data.h"

namespace edgeloop::sensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Files(const std::vector<Recording>& recordings) {
  std::vector<std::string> files;
  for (const Recording& recording : recordings) files.push_back(recording.file);
  return files;
}

Conditions Parse(const char* text) {
  auto conditions = ParseConditions(text);
  EXPECT_TRUE(conditions) << text;
  return conditions.value_or(Conditions{});
}

TEST(Plan, FindsTheOperatingPointsOfTheMotorRecords) {
  const std::string dir = TestDataDir("adi_cbm_motor");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  auto found = PlanConditions(*catalogue, {}, {});
  ASSERT_TRUE(found) << found.error().ToString();
  auto given = PlanConditions(*catalogue, Parse("speed_rpm=1800,extra_load_lb=0"),
                              {Parse("speed_rpm=2400"), Parse("extra_load_lb=11")});
  ASSERT_TRUE(given) << given.error().ToString();
  ASSERT_EQ(found->stages.size(), 3u);
  ASSERT_EQ(given->stages.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found->stages[i].conditions, given->stages[i].conditions) << i;
    EXPECT_EQ(Files(found->stages[i].healthy), Files(given->stages[i].healthy)) << i;
    EXPECT_EQ(Files(found->stages[i].faulty), Files(given->stages[i].faulty)) << i;
  }
  EXPECT_THAT(Files(found->stages[0].healthy), ElementsAre("1800rpm_healthy_00lb.i16"));
  EXPECT_EQ(found->stages[0].faulty.size(), 8u);
  EXPECT_THAT(Files(found->stages[1].healthy), ElementsAre("2400rpm_healthy_00lb.i16"));
  EXPECT_TRUE(found->stages[1].faulty.empty());
  EXPECT_THAT(Files(found->stages[2].healthy),
              ElementsAre("1800rpm_healthy_11lb.i16", "2400rpm_healthy_11lb.i16"));
  EXPECT_EQ(found->stages[2].faulty.size(), 8u);

  auto absent = PlanConditions(*catalogue, Parse("speed_rpm=1800,extra_load_lb=0"),
                               {Parse("speed_rpm=3000")});
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message(), HasSubstr("change 1 (speed_rpm=3000): no healthy"));
  EXPECT_THAT(absent.error().message(), HasSubstr("speed_rpm=1800, extra_load_lb=0: 1 healthy, 8"));
  auto unknown = PlanConditions(*catalogue, Parse("rpm=1"), {});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("the index has: speed_rpm, extra_load_lb"));
}

TEST(Plan, WithoutAnythingAboveTakesTheNextBelow) {
  Catalogue catalogue{.condition_names = {"load"}};
  const auto add = [&](const char* file, double load, bool faulty) {
    Recording recording;
    recording.file = file;
    recording.sample_rate_hz = 1000;
    recording.channels = 1;
    recording.faulty = faulty;
    recording.conditions = {{"load", load}};
    catalogue.recordings.push_back(recording);
  };
  add("h1", 1, false);
  add("h2", 2, false);
  add("h3", 3, false);
  add("f3", 3, true);
  auto plan = PlanConditions(catalogue, {}, {});
  ASSERT_TRUE(plan) << plan.error().ToString();
  EXPECT_EQ(plan->stages[0].conditions, (Conditions{{"load", 3}}));
  ASSERT_EQ(plan->stages.size(), 2u);
  EXPECT_THAT(Files(plan->stages[1].healthy), ElementsAre("h2"));

  catalogue.recordings.pop_back();
  auto none = PlanConditions(catalogue, {}, {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("both healthy and faulty"));
}

TEST(Plan, ParsesConditions) {
  EXPECT_EQ(Parse(" speed_rpm = 1800 , load=0.5"),
            (Conditions{{"speed_rpm", 1800}, {"load", 0.5}}));
  for (const char* bad : {"", "a", "a=", "=1", "a=1,a=2", "a=1,", "a=nan"}) {
    EXPECT_FALSE(ParseConditions(bad)) << bad;
  }
}

}  // namespace
}  // namespace edgeloop::sensors
