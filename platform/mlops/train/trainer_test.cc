#include "platform/mlops/train/trainer.h"

#include <gtest/gtest.h>

#include "platform/mlops/testdata/lcg.h"

namespace edgeloop::mlops {
namespace {

Snapshot Separated(int per_class) {
  Lcg lcg(11);
  Snapshot snapshot;
  snapshot.schema.names = {"a", "b"};
  for (int i = 0; i < per_class; ++i) {
    for (bool faulty : {false, true}) {
      snapshot.rows.push_back({{static_cast<float>((faulty ? 3 : 0) + lcg.Uniform()),
                                static_cast<float>(lcg.Uniform())},
                               faulty ? "broken" : "healthy",
                               faulty,
                               Purpose::kTraining,
                               static_cast<std::uint8_t>(i * kFolds / per_class),
                               0});
    }
  }
  return snapshot;
}

TEST(Trainer, LearnsAndReports) {
  const auto trained = Train(Separated(40), {}, "motor", 3, {});
  ASSERT_TRUE(trained) << trained.error().ToString();
  EXPECT_EQ(trained->spec.name, "motor");
  EXPECT_EQ(trained->spec.version, 3u);
  EXPECT_EQ(trained->report.rows, 80);
  EXPECT_TRUE(trained->report.fit.converged);
  EXPECT_TRUE(trained->report.fit.separable);
  EXPECT_EQ(trained->report.held_out_recall, 1.0);
  EXPECT_EQ(trained->report.held_out_false_alarm_rate, 0.0);
  const auto& layer = std::get<model_file::FloatNetwork>(trained->spec.network).layers.front();
  EXPECT_GT(layer.weights[0], 10 * std::abs(layer.weights[1]));
  EXPECT_EQ(trained->spec.decision.action, model::Action::kOpenContactor);
}

TEST(Trainer, ValidationRowsHaveNoInfluence) {
  Snapshot snapshot = Separated(40);
  const auto before = Train(snapshot, {}, "motor", 1, {});
  Snapshot more = snapshot;
  for (Row row : snapshot.rows) {
    row.purpose = Purpose::kValidation;
    row.faulty = !row.faulty;
    row.features[0] += 0.125F;
    more.rows.push_back(row);
  }
  const auto after = Train(more, {}, "motor", 1, {});
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->spec, after->spec);
}

TEST(Trainer, NeedsBothClasses) {
  Snapshot snapshot = Separated(40);
  std::erase_if(snapshot.rows, [](const Row& row) { return row.faulty; });
  const auto trained = Train(snapshot, {}, "motor", 1, {});
  ASSERT_FALSE(trained);
  EXPECT_NE(trained.error().message().find("0 faulty"), std::string::npos);
}

}  // namespace
}  // namespace edgeloop::mlops
