// The signal path on recorded vibration of a motor rig (not part of this repository).
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "core/dsp/statistics.h"
#include "core/model/model.h"
#include "core/model/model_test_support.h"

namespace edgeloop::model {
namespace {

constexpr std::size_t kAxes = 3;

struct Record {
  std::string name;
  std::vector<float> samples;  // interleaved
  double rms[kAxes];           // as the index has them, without the mean
  double kurtosis[kAxes];
};

class RecordedDataTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("EDGELOOP_DATA_DIR");
    const std::filesystem::path folder =
        std::filesystem::path(root != nullptr ? root : EDGELOOP_SOURCE_DIR "/../shared/data") /
        "adi_cbm_motor";
    std::ifstream index(folder / "index.csv");
    if (!index) {
      GTEST_SKIP() << "no recorded data at " << folder << ": set EDGELOOP_DATA_DIR to its parent";
    }
    std::string line;
    std::getline(index, line);
    while (std::getline(index, line)) {
      std::vector<std::string> cells;
      std::istringstream row(line);
      for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
      ASSERT_EQ(cells.size(), 21U) << line;
      records_.push_back(Load(folder, cells));
    }
    ASSERT_EQ(records_.size(), 24U);
  }

  static Record Load(const std::filesystem::path& folder, const std::vector<std::string>& cells) {
    Record record{.name = cells[0], .samples = {}, .rms = {}, .kurtosis = {}};
    std::ifstream file(folder / record.name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(bytes.size(), std::stoul(cells[3]) * kAxes * 2) << record.name;
    record.samples.resize(bytes.size() / 2);
    for (std::size_t i = 0; i < record.samples.size(); ++i) {
      const std::size_t axis = i % kAxes;
      std::int16_t raw = 0;
      std::memcpy(&raw, &bytes[2 * i], 2);
      record.samples[i] =
          static_cast<float>(raw * std::stod(cells[8 + 2 * axis]) + std::stod(cells[9 + 2 * axis]));
    }
    for (std::size_t axis = 0; axis < kAxes; ++axis) {
      record.rms[axis] = std::stod(cells[14 + axis]);
      record.kurtosis[axis] = std::stod(cells[17 + axis]);
    }
    return record;
  }

  std::vector<Record> records_;
};

// The index was made by others in double precision and printed with four or more digits.
TEST_F(RecordedDataTest, RmsAndKurtosisOfWholeRecordsMatchTheIndex) {
  for (const Record& record : records_) {
    for (std::size_t axis = 0; axis < kAxes; ++axis) {
      std::vector<float> x(record.samples.size() / kAxes);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = record.samples[i * kAxes + axis];
      dsp::RemoveMean(x);
      const dsp::Statistics s = dsp::ComputeStatistics(x);
      EXPECT_NEAR(s.rms, record.rms[axis], 6e-8) << record.name << " axis " << axis;
      EXPECT_NEAR(s.kurtosis, record.kurtosis[axis], 2e-4) << record.name << " axis " << axis;
    }
  }
}

TEST_F(RecordedDataTest, EveryWindowHasFeaturesAndTheFactoryModelScoresZero) {
  const std::vector<std::uint8_t> file = Golden("factory.elm");
  Model m;
  ASSERT_EQ(Model::Open(file, &m), core::Code::kOk);
  Scratch scratch(m.workspace_bytes());
  std::vector<float> features(m.feature_count());
  const std::size_t window = std::size_t{m.window()} * kAxes;
  const std::size_t hop = std::size_t{m.hop()} * kAxes;
  for (const Record& record : records_) {
    std::size_t windows = 0;
    for (std::size_t at = 0; at + window <= record.samples.size(); at += hop, ++windows) {
      const auto samples = std::span(record.samples).subspan(at, window);
      ASSERT_EQ(m.Features(samples, scratch.span(), features), core::Code::kOk) << record.name;
      float score = 1;
      ASSERT_EQ(m.Score(features, scratch.span(), &score), core::Code::kOk) << record.name;
      EXPECT_EQ(score, 0.0F);
    }
    EXPECT_EQ(windows, 75U) << record.name;
  }
}

}  // namespace
}  // namespace edgeloop::model
