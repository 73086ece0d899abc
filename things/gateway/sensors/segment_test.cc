#include "things/gateway/sensors/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace edgeloop::sensors {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string ErrorOf(const char* text) {
  auto segment = Segment::FromJson(Json::parse(text));
  return segment ? "accepted" : segment.error().message();
}

TEST(Segment, ReadsReplayAndMotor) {
  auto replay = Segment::FromJson(
      Json::parse(R"({"id":"s1","file":"a.i16","from":0.25,"to":0.4,"phase":128,"repeat":2})"));
  ASSERT_TRUE(replay) << replay.error().ToString();
  EXPECT_EQ(std::get<ReplaySegment>(replay->content),
            (ReplaySegment{.file = "a.i16", .from = 0.25, .to = 0.4, .phase = 128, .repeat = 2}));

  auto motor = Segment::FromJson(Json::parse(
      R"({"id":"s2","seed":7,"duration_s":3,"speed_rpm":1480,"load":0.6,"fault":"inner_race","severity":0.8})"));
  ASSERT_TRUE(motor) << motor.error().ToString();
  const auto& content = std::get<MotorSegment>(motor->content);
  EXPECT_EQ(content.fault, MotorFault::kInnerRace);
  EXPECT_EQ(content.severity_start, 0.8);
  for (const Segment& segment : {*replay, *motor}) {
    auto again = Segment::FromJson(segment.ToJson());
    ASSERT_TRUE(again) << again.error().ToString();
    EXPECT_EQ(*again, segment);
  }
}

TEST(Segment, RepetitionChangesTheSeedOnly) {
  const Segment segment{"s", MotorSegment{.seed = 7, .duration_s = 1}};
  EXPECT_EQ(segment.Repetition(0), segment);
  EXPECT_EQ(std::get<MotorSegment>(segment.Repetition(3).content).seed, 10u);
  const Segment replay{"r", ReplaySegment{.file = "f"}};
  EXPECT_EQ(replay.Repetition(5), replay);
}

TEST(Segment, RefusesWithReason) {
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(ErrorOf(R"({"duration_s":1})"), HasSubstr("\"id\": is missing"));
  EXPECT_THAT(ErrorOf(R"({"id":"a/b","duration_s":1})"), HasSubstr("may hold letters"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","file":"f","speed_rpm":9})"), HasSubstr("unknown; known are"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","file":"f","from":0.5,"to":0.5})"), HasSubstr("less than"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","file":"f","phase":-1})"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","file":"f","repeat":1.5})"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf(R"({"id":"s"})"), HasSubstr("\"duration_s\": is missing"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","duration_s":1e9})"), HasSubstr("must be in"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","duration_s":1,"fault":"gremlin"})"), HasSubstr("inner_race"));
  EXPECT_THAT(ErrorOf(R"({"id":"s","duration_s":"1"})"), HasSubstr("must be a number"));
}

}  // namespace
}  // namespace edgeloop::sensors
