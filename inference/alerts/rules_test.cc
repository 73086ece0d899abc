#include "inference/alerts/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edgeloop::alerts {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSecond = 1'000'000'000;

std::string ErrorOf(const std::string& when) {
  auto rules = Rules::Create({{.name = "r", .when = when}});
  return rules ? "accepted" : rules.error().message();
}

TEST(Rules, RefusesWhatIsWrongAndTellsWhere) {
  EXPECT_EQ(ErrorOf("l1_score > 0.5 && ctx_speed_rpm < 3000"), "accepted");
  EXPECT_THAT(ErrorOf("l1_score > 0.5 && l3_score > 1"),
              HasSubstr("at character 19: unknown variable 'l3_score'; known are l1_score, "));
  EXPECT_THAT(ErrorOf("l1_score >"), HasSubstr("at character 11: Unexpected end"));
  EXPECT_THAT(ErrorOf("(l1_score > 1"), HasSubstr("Missing parenthesis"));
  EXPECT_THAT(ErrorOf("l1_score = 1"), HasSubstr("at character 10: '=' compares nothing"));
  EXPECT_EQ(ErrorOf("l1_score >= 1 || l1_score <= 0 || l1_trip == 1 || l1_trip != 0"), "accepted");
  EXPECT_THAT(ErrorOf("l1_score, l2_score"), HasSubstr("one expression"));
  EXPECT_THAT(ErrorOf("ctx_ > 1"), HasSubstr("unknown variable 'ctx_'"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("at character"));
  EXPECT_THAT(ErrorOf(std::string(1001, '1')), HasSubstr("longer than 1000"));
  EXPECT_FALSE(Rules::Create({{.name = "r", .when = "1"}, {.name = "r", .when = "1"}}));
  EXPECT_TRUE(Rules::Create({DefaultRule()}));
}

TEST(Rules, RaisesOnceHoldsAndClears) {
  auto rules = Rules::Create(
      {{.name = "hot", .when = "l2_score > 0.6", .hold_ms = 1'000, .clear_ms = 3'000}});
  ASSERT_TRUE(rules) << rules.error().ToString();
  const auto at = [&](uint64_t second, double score) {
    return rules->Evaluate("gw-01/motor-01", second * kSecond, {.l2_score = score});
  };
  EXPECT_TRUE(at(1, 0.7).empty());
  EXPECT_TRUE(at(2, 0.2).empty());  // did not hold
  EXPECT_TRUE(at(3, 0.7).empty());
  const auto raised = at(4, 0.7);
  ASSERT_EQ(raised.size(), 1u);
  EXPECT_FALSE(raised[0].cleared);
  EXPECT_EQ(raised[0].alert_id, "hot/gw-01/motor-01/3000000000");
  EXPECT_TRUE(at(5, 0.9).empty());
  EXPECT_TRUE(at(6, 0.1).empty());
  EXPECT_TRUE(at(8, 0.9).empty());  // a dip does not clear
  EXPECT_TRUE(at(9, 0.1).empty());
  EXPECT_TRUE(at(11, 0.1).empty());
  const auto cleared = at(12, 0.1);
  ASSERT_EQ(cleared.size(), 1u);
  EXPECT_TRUE(cleared[0].cleared);
  EXPECT_EQ(cleared[0].alert_id, raised[0].alert_id);
  EXPECT_TRUE(at(13, 0.1).empty());
}

TEST(Rules, DevicesAreApartAndContextMayBeAbsent) {
  auto rules = Rules::Create({{.name = "fast", .when = "ctx_speed_rpm > 2000"}});
  ASSERT_TRUE(rules);
  EXPECT_TRUE(rules->Evaluate("gw/a", kSecond, {}).empty());
  EXPECT_EQ(rules->Evaluate("gw/a", kSecond, {.context = {{"speed_rpm", 2400}}}).size(), 1u);
  EXPECT_EQ(rules->Evaluate("gw/b", kSecond, {.context = {{"speed_rpm", 2400}}}).size(), 1u);
  EXPECT_TRUE(rules->Evaluate("gw/b", 2 * kSecond, {.context = {{"speed_rpm", 2400}}}).empty());
}

TEST(Rules, ARestoredAlertIsNotRaisedAnewButCleared) {
  auto rules = Rules::Create({{.name = "hot", .when = "l1_trip", .clear_ms = 0}});
  ASSERT_TRUE(rules);
  rules->Restore("gw/a", "hot", "hot/gw/a/7");
  EXPECT_TRUE(rules->Evaluate("gw/a", kSecond, {.l1_trip = 1}).empty());
  const auto cleared = rules->Evaluate("gw/a", 2 * kSecond, {.l1_trip = 0});
  ASSERT_EQ(cleared.size(), 1u);
  EXPECT_EQ(cleared[0].alert_id, "hot/gw/a/7");
}

}  // namespace
}  // namespace edgeloop::alerts
