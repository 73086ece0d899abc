#include "platform/mlops/compress/quantize.h"

#include <gtest/gtest.h>

#include "platform/mlops/compress/scorer.h"
#include "platform/mlops/testdata/recordings.h"
#include "platform/mlops/train/trainer.h"

namespace edgeloop::mlops {
namespace {

TEST(Quantize, AgreesWithFloatOnTheRecordedMotor) {
  if (!HaveRecordings()) GTEST_SKIP() << DataDirHint();
  Recordings recordings;
  Snapshot snapshot{.schema = recordings.schema(), .rows = {}};
  recordings.Append(&snapshot, "1800rpm_healthy_00lb", 0, 2);
  recordings.Append(&snapshot, "2400rpm_healthy_00lb", 1, 2);
  for (const std::string& fault : kFaults) {
    recordings.Append(&snapshot, "1800rpm_" + fault + "_00lb", 2, 2);
  }
  Canonicalize(&snapshot);
  const auto trained = Train(snapshot, MotorPipeline(), "motor", 1, {});
  ASSERT_TRUE(trained) << trained.error().ToString();
  const auto compressed = Quantize(trained->spec, snapshot);
  ASSERT_TRUE(compressed) << compressed.error().ToString();
  std::printf(
      "rows %lld, int8 %zu bytes, float %zu bytes, score difference max %.4f mean %.5f, "
      "flips %lld\n",
      static_cast<long long>(compressed->agreement.rows), compressed->elm.size(),
      compressed->float_bytes, compressed->agreement.max_score_difference,
      compressed->agreement.mean_score_difference,
      static_cast<long long>(compressed->agreement.decision_flips));
  EXPECT_LT(compressed->agreement.max_score_difference, 0.05);
  EXPECT_LT(compressed->agreement.mean_score_difference, 0.005);
  EXPECT_LE(compressed->agreement.decision_flips, compressed->agreement.rows / 200);
  EXPECT_LT(compressed->elm.size(), compressed->float_bytes);
  // The same rows give the same bytes.
  const auto again = Train(snapshot, MotorPipeline(), "motor", 1, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(Quantize(again->spec, snapshot)->elm, compressed->elm);
}

TEST(Quantize, NeedsAFloatNetworkAndRows) { EXPECT_FALSE(Quantize({}, {})); }

}  // namespace
}  // namespace edgeloop::mlops
