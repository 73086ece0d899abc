#include "platform/mlops/dataset/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::mlops {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
const FeatureSchema kSchema{1000, 11, {"a", "b"}};  // a window spans 10 ms

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "storeXXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    database_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Reopen(std::int64_t max_windows = 1000) {
    store_.reset();
    database_.reset();
    auto database = Database::Open(dir_ + "/mlops.db");
    ASSERT_TRUE(database) << database.error().ToString();
    database_ = std::move(*database);
    auto store = DatasetStore::Create(database_.get(), kSchema, max_windows);
    ASSERT_TRUE(store) << store.error().ToString();
    store_.emplace(std::move(*store));
  }
  static v1::TelemetryRecord Window(const std::string& device, std::uint64_t seq,
                                    std::uint64_t at_ms, float a) {
    v1::TelemetryRecord record;
    record.set_device(device);
    record.set_boot(1);
    record.set_seq(seq);
    record.set_kind(v1::FEATURES);
    record.set_sensed_at_ns(at_ms * kMs);
    record.set_window_samples(11);
    record.set_sample_rate_hz(1000);
    record.add_feature_names("a");
    record.add_feature_names("b");
    record.add_features(a);
    record.add_features(1);
    record.set_model_digest("sha256:old");
    return record;
  }
  static v1::Label::Interval* Add(v1::Label* label, std::uint64_t from_ms, std::uint64_t to_ms,
                                  v1::Label::Purpose purpose, bool faulty = false) {
    auto* interval = label->add_intervals();
    interval->set_device("gw/m");
    interval->set_from_ns(from_ms * kMs);
    interval->set_to_ns(to_ms * kMs);
    interval->set_label(faulty ? "broken" : "healthy");
    interval->set_faulty(faulty);
    interval->set_purpose(purpose);
    return interval;
  }
  template <typename F>
  auto In(F&& f) {
    Transaction transaction(*database_);
    auto result = f();
    const Status committed = transaction.Commit();
    EXPECT_TRUE(committed) << committed.error().ToString();
    return result;
  }
  void Play(std::uint64_t first_seq, int count) {  // one window each 5 ms
    In([&] {
      for (int i = 0; i < count; ++i) {
        const std::uint64_t seq = first_seq + i;
        store_->AddTelemetry(Window("gw/m", seq, 10 + 5 * seq, static_cast<float>(seq)));
      }
      return 0;
    });
  }
  std::string dir_;
  std::unique_ptr<Database> database_;
  std::optional<DatasetStore> store_;
};

TEST_F(StoreTest, OnlyWindowsWhollyInsideAnIntervalCount) {
  Play(1, 20);  // sensed at 15, 20, ... 110 ms; the first sample lies 10 ms before
  v1::Label label;
  label.set_submission("s1");
  Add(&label, 20, 50, v1::Label::TRAINING);
  In([&] { return store_->AddLabel(label), 0; });
  EXPECT_EQ(In([&] { return store_->CompleteSubmissions(); }), 1);
  const Snapshot snapshot = In([&] { return store_->Build(); });
  ASSERT_EQ(snapshot.rows.size(), 5u);  // sensed at 30, 35, 40, 45, 50 ms
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(snapshot.rows[i].features[0], 4.0F + static_cast<float>(i));
    EXPECT_EQ(snapshot.rows[i].fold, i * kFolds / 5);
  }
}

TEST_F(StoreTest, ALateLabelWaitsForTheTelemetryAndARestartKeepsBoth) {
  Play(1, 5);
  v1::Label label;
  label.set_submission("s1");
  Add(&label, 0, 60, v1::Label::TRAINING);
  In([&] {
    store_->AddLabel(label);
    store_->SetOffset("t", 2, 17);
    return 0;
  });
  EXPECT_EQ(In([&] { return store_->CompleteSubmissions(); }), 0);
  Reopen();
  EXPECT_EQ(In([&] { return store_->Offsets("t"); }),
            (std::map<std::int32_t, std::int64_t>{{2, 17}}));
  In([&] { return store_->AddLabel(label), 0; });  // resent: no effect
  Play(1, 11);                                     // the first five again
  EXPECT_EQ(In([&] { return store_->CompleteSubmissions(); }), 1);
  EXPECT_EQ(In([&] { return store_->Build(); }).rows.size(), 10u);  // sensed at 15 ... 60 ms
}

TEST_F(StoreTest, TrainingAndValidationNeverShareAWindow) {
  Play(1, 40);
  v1::Label first;
  first.set_submission("s1");
  Add(&first, 0, 60, v1::Label::TRAINING);
  Add(&first, 55, 100, v1::Label::VALIDATION);  // overlaps: refused
  Add(&first, 60, 100, v1::Label::VALIDATION);
  v1::Label second;
  second.set_submission("s2");
  Add(&second, 80, 120, v1::Label::TRAINING);  // overlaps the validation of s1: refused
  In([&] {
    store_->AddLabel(first);
    store_->AddLabel(second);
    return store_->CompleteSubmissions();
  });
  const DatasetCounts counts = In([&] { return store_->Counts(); });
  EXPECT_EQ(counts.refused_intervals, 2);
  EXPECT_EQ(counts.training_rows, 10);
  EXPECT_EQ(counts.validation_rows, 7);  // sensed at 70 ... 100 ms
}

TEST_F(StoreTest, EqualFeaturesAreKeptOnceAndNeverForTheOtherPurpose) {
  In([&] {
    for (int i = 1; i <= 4; ++i) store_->AddTelemetry(Window("gw/m", i, 10 + 20 * i, 1.0F));
    store_->AddTelemetry(Window("gw/m", 5, 500, 2.0F));
    return 0;
  });
  v1::Label label;
  label.set_submission("s1");
  Add(&label, 0, 50, v1::Label::TRAINING);
  Add(&label, 50, 100, v1::Label::VALIDATION);
  In([&] {
    store_->AddLabel(label);
    return store_->CompleteSubmissions();
  });
  const DatasetCounts counts = In([&] { return store_->Counts(); });
  EXPECT_EQ(counts.training_rows, 1);
  EXPECT_EQ(counts.validation_rows, 0);
  EXPECT_EQ(counts.refused_rows, 2);
}

TEST_F(StoreTest, WindowsWithTheContactorOpenOrOfAnotherPipelineAreNotUsed) {
  In([&] {
    auto open = Window("gw/m", 1, 20, 1);
    open.set_actuator_open(true);
    auto foreign = Window("gw/m", 2, 30, 2);
    foreign.set_feature_names(0, "c");
    auto infinite = Window("gw/m", 3, 40, std::numeric_limits<float>::infinity());
    for (const auto& record :
         {open, foreign, infinite, Window("gw/m", 4, 50, 4), Window("gw/m", 5, 200, 5)}) {
      store_->AddTelemetry(record);
    }
    v1::Label label;
    label.set_submission("s1");
    Add(&label, 0, 100, v1::Label::TRAINING, true);
    store_->AddLabel(label);
    return store_->CompleteSubmissions();
  });
  const Snapshot snapshot = In([&] { return store_->Build(); });
  ASSERT_EQ(snapshot.rows.size(), 1u);
  EXPECT_TRUE(snapshot.rows[0].faulty);
  EXPECT_EQ(In([&] { return store_->Counts(); }).foreign_windows, 2);
}

TEST_F(StoreTest, TheBufferIsBounded) {
  Reopen(300);
  Play(1, 1024);
  EXPECT_LE(In([&] { return store_->Counts(); }).windows, 300 + 256);
}

TEST_F(StoreTest, KnowsWhichModelADeviceRuns) {
  Play(1, 3);
  v1::TelemetryRecord record;
  record.set_device("gw/m");
  record.set_boot(1);
  record.set_seq(4);
  record.set_kind(v1::EVENT);
  record.mutable_event()->set_type(v1::DeviceEvent::MODEL_TRIAL);
  record.mutable_event()->set_model_digest("sha256:new");
  In([&] { return store_->AddTelemetry(record), 0; });
  EXPECT_EQ(In([&] { return store_->Device("gw/m"); })->digest, "sha256:old");
  record.set_seq(5);
  record.mutable_event()->set_type(v1::DeviceEvent::MODEL_CONFIRMED);
  record.mutable_event()->set_model_version(2);
  In([&] { return store_->AddTelemetry(record), 0; });
  EXPECT_EQ(In([&] { return store_->Device("gw/m"); })->digest, "sha256:new");
  EXPECT_EQ(In([&] { return store_->Device("gw/m"); })->version, 2u);
}

TEST_F(StoreTest, RefusesAnotherPipelinesState) {
  auto other = DatasetStore::Create(database_.get(), {1000, 22, {"a", "b"}}, 10);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace edgeloop::mlops
