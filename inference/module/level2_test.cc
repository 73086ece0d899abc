#include "inference/module/level2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::module {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Ten windows a second; the last `faulty_s` seconds show a fault.
v1::ModuleRequest History(double healthy_s, double faulty_s, double fault_score = 0.97) {
  v1::ModuleRequest request;
  request.set_id(1);
  request.set_device("gw-01/motor-01");
  std::mt19937 random(42);
  const auto noise = [&] { return (static_cast<float>(random() % 1000) / 1000 - 0.5f); };
  const int healthy = static_cast<int>(healthy_s * 10),
            all = static_cast<int>(faulty_s * 10) + healthy;
  for (int i = 0; i < all; ++i) {
    const bool fault = i >= healthy;
    auto* record = request.add_history();
    if (i == 0) {
      for (const char* name : {"ch0.rms", "ch0.kurtosis", "ch1.rms", "ch1.band3"}) {
        record->add_feature_names(name);
      }
    }
    record->set_sensed_at_ns(1'000'000'000'000 + static_cast<uint64_t>(i) * 100'000'000);
    record->set_score(static_cast<float>(fault ? fault_score : 0.04) + 0.02f * noise());
    record->set_alarm(fault && fault_score > 0.5);
    record->add_features(1.0f + 0.1f * noise() + (fault ? 0.5f : 0));
    record->add_features(3.0f + 0.2f * noise() + (fault ? 9 : 0));
    record->add_features(2.0f + 0.1f * noise());
    record->add_features(0.5f + 0.1f * noise());
  }
  return request;
}

TEST(Level2, HealthyScoresLowFaultyScoresHigh) {
  const auto healthy = Infer(History(60, 0));
  ASSERT_TRUE(healthy) << healthy.error().ToString();
  EXPECT_LT(healthy->score(), 0.1);
  EXPECT_THAT(healthy->explanation(), HasSubstr("0 of 51 windows"));
  EXPECT_THAT(healthy->explanation(), Not(HasSubstr("deviations")));

  const auto faulty = Infer(History(60, 6));
  ASSERT_TRUE(faulty) << faulty.error().ToString();
  EXPECT_GT(faulty->score(), 0.9);
  EXPECT_EQ(faulty->evidence().at("alarm_fraction"), 1);
  EXPECT_GT(faulty->evidence().at("feature:ch0.kurtosis"), 20);
  EXPECT_THAT(faulty->explanation(), HasSubstr("ch0.kurtosis +"));
}

TEST(Level2, ABeginningFaultIsExplainedByItsAlarmingWindows) {
  const auto beginning = Infer(History(60, 1.0));
  ASSERT_TRUE(beginning);
  EXPECT_THAT(beginning->explanation(), HasSubstr("ch0.kurtosis +"));
}

TEST(Level2, AFaultFromTheFirstWindowOnIsSeenWithoutReference) {
  const auto faulty = Infer(History(0, 3));
  ASSERT_TRUE(faulty);
  EXPECT_GT(faulty->score(), 0.85);
  EXPECT_EQ(faulty->evidence().at("change"), 0);
}

TEST(Level2, ChangedFeaturesWithoutAlarmsAreNoFault) {
  const auto drifted = Infer(History(60, 6, 0.05));
  ASSERT_TRUE(drifted);
  EXPECT_LT(drifted->score(), 0.3);
  EXPECT_THAT(drifted->explanation(), HasSubstr("ch0.kurtosis +"));
}

TEST(Level2, OneAlarmingWindowIsNotEnough) {
  v1::ModuleRequest request = History(0, 0.1);
  const auto inference = Infer(request);
  ASSERT_TRUE(inference);
  EXPECT_LT(inference->score(), 0.6);
}

TEST(Level2, ContextWeighs) {
  v1::ModuleRequest request = History(60, 2.5, 0.7);
  const auto score = [&] { return Infer(request)->score(); };
  request.mutable_context()->set_criticality(0.1);
  const double minor = score();
  request.mutable_context()->set_criticality(1.0);
  const double vital = score();
  EXPECT_GT(vital, minor + 0.05);
  (*request.mutable_context()->mutable_values())["speed_rpm"] = 3600;
  (*request.mutable_context()->mutable_values())["speed_rpm_max"] = 3000;
  EXPECT_GT(score(), vital);
  EXPECT_THAT(Infer(request)->explanation(), HasSubstr("speed_rpm above"));
}

TEST(Level2, ARisingScoreIsTold) {
  v1::ModuleRequest request = History(60, 0);
  for (int i = 0; i < request.history_size(); ++i) {
    request.mutable_history(i)->set_score(static_cast<float>(i) / 1000);
  }
  const auto inference = Infer(request);
  ASSERT_TRUE(inference);
  EXPECT_NEAR(inference->evidence().at("trend_per_min"), 0.6, 0.01);
  EXPECT_THAT(inference->explanation(), HasSubstr("score rising by 0.60 a minute"));
}

TEST(Level2, RefusesWhatIsNotSound) {
  EXPECT_THAT(Infer({}).error().message(), HasSubstr("no history"));
  v1::ModuleRequest request = History(1, 0);
  request.mutable_history(3)->add_features(1);
  EXPECT_THAT(Infer(request).error().message(), HasSubstr("different features"));
  request = History(1, 0);
  request.mutable_history(3)->set_sensed_at_ns(1);
  EXPECT_THAT(Infer(request).error().message(), HasSubstr("out of order"));
  request = History(1, 0);
  request.mutable_history(3)->set_features(0, NAN);
  EXPECT_THAT(Infer(request).error().message(), HasSubstr("not finite"));
  request = History(1, 0);
  request.mutable_history(0)->clear_feature_names();
  EXPECT_THAT(Infer(request).error().message(), HasSubstr("must name its features"));
}

}  // namespace
}  // namespace edgeloop::module
