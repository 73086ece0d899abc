#include "things/gateway/sensors/recordings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "things/gateway/sensors/sample_text.h"
#include "things/gateway/sensors/source.h"
#include "things/gateway/sensors/table.h"
#include "things/gateway/sensors/test_data.h"

namespace edgeloop::sensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Moments {
  double mean = 0, rms = 0, ac_rms = 0, kurtosis = 0, peak = 0;
};
Moments MomentsOf(const std::vector<float>& values, size_t channels, size_t channel) {
  Moments m;
  const double n = static_cast<double>(values.size() / channels);
  for (size_t i = channel; i < values.size(); i += channels) {
    m.mean += values[i] / n;
    m.rms += static_cast<double>(values[i]) * values[i] / n;
    m.peak = std::max(m.peak, std::abs(static_cast<double>(values[i])));
  }
  double second = 0, fourth = 0;
  for (size_t i = channel; i < values.size(); i += channels) {
    const double d = values[i] - m.mean;
    second += d * d / n;
    fourth += d * d * d * d / n;
  }
  m.rms = std::sqrt(m.rms);
  m.ac_rms = std::sqrt(second);
  m.kurtosis = fourth / (second * second);
  return m;
}

double Field(const Table& table, size_t row, const std::string& column) {
  double value = 0;
  const int c = table.Find({column});
  EXPECT_GE(c, 0) << column;
  EXPECT_TRUE(ParseNumber(table.rows[row][static_cast<size_t>(c)], &value));
  return value;
}

TEST(Recordings, MotorRecordsGiveTheFiguresOfTheirIndex) {
  const std::string dir = TestDataDir("adi_cbm_motor");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  EXPECT_THAT(catalogue->condition_names, ElementsAre("speed_rpm", "extra_load_lb"));
  ASSERT_EQ(catalogue->recordings.size(), 24u);
  auto table = ParseTable(ReadText(dir + "/index.csv"), 100);
  ASSERT_TRUE(table);
  for (size_t r = 0; r < catalogue->recordings.size(); ++r) {
    const Recording& recording = catalogue->recordings[r];
    EXPECT_EQ(recording.sample_rate_hz, 20'000u);
    EXPECT_EQ(recording.samples, 40'000u);
    EXPECT_THAT(recording.channel_names, ElementsAre("x", "y", "z"));
    auto samples = ReadSamples(dir, recording);
    ASSERT_TRUE(samples) << samples.error().ToString();
    for (size_t c = 0; c < 3; ++c) {
      const Moments m = MomentsOf(*samples, 3, c);
      const std::string& axis = recording.channel_names[c];
      EXPECT_NEAR(m.ac_rms, Field(*table, r, "ac_rms_" + axis), 2e-7) << recording.file << axis;
      EXPECT_NEAR(m.kurtosis, Field(*table, r, "kurtosis_" + axis), 2e-3) << recording.file << axis;
    }
  }
}

TEST(Recordings, BearingRecordsOfTwoRatesGiveTheFiguresOfTheirIndex) {
  const std::string dir = TestDataDir("cwru");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  EXPECT_THAT(catalogue->condition_names, ElementsAre("load_hp", "rpm_nominal"));
  EXPECT_EQ(MainFormat(*catalogue).sample_rate_hz, 12'000u);
  auto table = ParseTable(ReadText(dir + "/index.csv"), 100);
  ASSERT_TRUE(table);
  int faulty = 0;
  for (size_t r = 0; r < catalogue->recordings.size(); ++r) {
    const Recording& recording = catalogue->recordings[r];
    faulty += recording.faulty;
    EXPECT_EQ(recording.units[0], "g");
    auto samples = ReadSamples(dir, recording);
    ASSERT_TRUE(samples) << samples.error().ToString();
    const Moments m = MomentsOf(*samples, 1, 0);
    EXPECT_NEAR(m.rms, Field(*table, r, "rms_g"), 2e-6) << recording.file;
    EXPECT_NEAR(m.kurtosis, Field(*table, r, "kurtosis"), 2e-3) << recording.file;
    EXPECT_NEAR(m.peak, Field(*table, r, "peak_abs_g"), 2e-5) << recording.file;
  }
  EXPECT_EQ(faulty, 21);

  auto source = CreateReplaySource({.dir = dir});
  ASSERT_TRUE(source) << source.error().ToString();
  EXPECT_EQ((*source)->format().sample_rate_hz, 12'000u);
  const Status other_rate = (*source)->Begin({"s", ReplaySegment{"de48k/ball_007_0hp.i16"}});
  ASSERT_FALSE(other_rate);
  EXPECT_THAT(other_rate.error().message(), HasSubstr("at 48000 Hz, this source plays 1 at 12000"));
}

TEST(Recordings, SoundsGiveTheFiguresOfTheirIndex) {
  const std::string dir = TestDataDir("mimii_valve_sound");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  EXPECT_TRUE(catalogue->condition_names.empty());
  auto table = ParseTable(ReadText(dir + "/index.csv"), 100);
  ASSERT_TRUE(table);
  ASSERT_EQ(catalogue->recordings.size(), 8u);
  for (size_t r = 0; r < catalogue->recordings.size(); ++r) {
    const Recording& recording = catalogue->recordings[r];
    auto samples = ReadSamples(dir, recording);
    ASSERT_TRUE(samples) << samples.error().ToString();
    const bool counts = Field(*table, r, "bits") == 16;  // the index has PCM in counts
    const double full_scale = counts ? 32768 : 1;
    const Moments m = MomentsOf(*samples, recording.channels, 0);
    EXPECT_NEAR(m.rms * full_scale / Field(*table, r, "rms_ch1"), 1, 1e-5) << recording.file;
    EXPECT_NEAR(m.peak * full_scale / Field(*table, r, "peak_ch1"), 1, 1e-5) << recording.file;
  }
}

TEST(Recordings, PublishedTextIsReadWithItsQuirks) {
  const std::string dir = TestDataDir("adi_cbm_motor");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto text = ParseSampleText(ReadText(dir + "/raw_excerpt_1800rpm_healthy_00lb.csv"));
  ASSERT_TRUE(text) << text.error().ToString();
  EXPECT_NEAR(text->interval_s, 5e-5, 1e-9);
  ASSERT_EQ(text->names.size(), 3u);
  ASSERT_EQ(text->values.size(), 6000u);
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  for (const Recording& recording : catalogue->recordings) {
    if (recording.file != "1800rpm_healthy_00lb.i16") continue;
    auto samples = ReadSamples(dir, recording);
    ASSERT_TRUE(samples);
    for (size_t i = 0; i < text->values.size(); ++i) {
      ASSERT_NEAR((*samples)[i], text->values[i], 4e-7) << i;
    }
  }
}

TEST(Recordings, LoggersTextWithDatesAndLabels) {
  const std::string dir = TestDataDir("skab");
  if (dir.empty()) GTEST_SKIP() << "no recordings: set EDGELOOP_DATA_DIR";
  auto catalogue = ReadCatalogue(dir);
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  const Recording& recording = catalogue->recordings[1];
  EXPECT_EQ(recording.sample_rate_hz, 1u);
  EXPECT_EQ(recording.channels, 8);
  EXPECT_EQ(recording.channel_names[3], "Pressure");
}

class FolderTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) {
    std::ofstream(dir_.path() + "/" + name, std::ios::binary) << content;
  }
  std::string ErrorOf() {
    auto catalogue = ReadCatalogue(dir_.path());
    return catalogue ? "accepted" : catalogue.error().message();
  }
  TempDir dir_;
};

TEST_F(FolderTest, MixedKindsAndReplayOfAPart) {
  Write("index.csv",
        "file,rate_hz,channels,label,load,scale,offset\r\n"
        "a.i16,1000,2,healthy,0.5,0.5,1\r\n"
        "\"b,1.csv\",,,worn,0.9,2,0\r\n");
  std::string raw;
  for (int i = 0; i < 20; ++i) raw += {static_cast<char>(i), 0};  // 10 frames of 2 channels
  Write("a.i16", raw);
  Write("b,1.csv", "t;u;v\n0;1;2\n0.001;3;4\n0.002;5;6\n");
  auto catalogue = ReadCatalogue(dir_.path());
  ASSERT_TRUE(catalogue) << catalogue.error().ToString();
  ASSERT_EQ(catalogue->recordings.size(), 2u);
  EXPECT_FALSE(catalogue->recordings[0].faulty);
  EXPECT_TRUE(catalogue->recordings[1].faulty);
  EXPECT_EQ(catalogue->recordings[1].sample_rate_hz, 1000u);
  auto text = ReadSamples(dir_.path(), catalogue->recordings[1]);
  ASSERT_TRUE(text) << text.error().ToString();
  EXPECT_THAT(*text, ElementsAre(2, 4, 6, 8, 10, 12));

  auto source = CreateReplaySource({.dir = dir_.path()});
  ASSERT_TRUE(source) << source.error().ToString();
  // Frames floor(0.25*10)+1 = 3 and 4, twice.
  ASSERT_TRUE((*source)->Begin(
      {"s", ReplaySegment{.file = "a.i16", .from = 0.25, .to = 0.5, .phase = 1, .repeat = 2}}));
  std::vector<float> block(6);
  auto count = (*source)->Read(block);
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 3u);
  EXPECT_THAT(block, ElementsAre(4, 4.5, 5, 5.5, 4, 4.5));
  EXPECT_EQ((*source)->Read(block).value(), 1u);
  EXPECT_EQ((*source)->Read(block).value(), 0u);

  const Status nothing =
      (*source)->Begin({"s", ReplaySegment{.file = "a.i16", .from = 0, .to = 0.5, .phase = 5}});
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message(), HasSubstr("nothing is left"));
  const Status motor = (*source)->Begin({"s", MotorSegment{.duration_s = 1}});
  ASSERT_FALSE(motor);
  EXPECT_THAT(motor.error().message(), HasSubstr("needs \"file\""));
  EXPECT_EQ((*source)->Read(block).value(), 0u);
}

TEST_F(FolderTest, RefusesWithReason) {
  EXPECT_THAT(ErrorOf(), HasSubstr("needs an index.csv"));
  Write("index.csv", "name,rate_hz\nx,1\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("no column 'file'"));
  Write("index.csv", "file,rate_hz\n../../etc/passwd.i16,1000\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("within the folder"));
  Write("index.csv", "file,rate_hz\n/etc/passwd.i16,1000\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("within the folder"));
  Write("index.csv", "file,rate_hz\na.i16,1000,3\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("line 2: 3 fields, but the header names 2"));
  Write("index.csv", "file,rate_hz\na.i16,-4\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("line 2: rate_hz: must be a whole number"));
  Write("index.csv", "file,rate_hz\na.i16,1000\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("No such file"));
  Write("a.i16", "abc");
  EXPECT_THAT(ErrorOf(), HasSubstr("not a whole number of frames"));
  Write("a.i16", "abcd");
  Write("index.csv", "file,rate_hz,n_samples\na.i16,1000,3\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("the index tells 3 samples, the file holds 2"));
  Write("index.csv", "file,rate_hz\na.i16,1000\na.i16,1000\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("listed twice"));
  Write("index.csv", "file\nb.csv\n");
  Write("b.csv", "1,2\n3,x\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("line 2: column 2: 'x' is not a finite number"));
  Write("b.csv", "1,2\n3,4\n5\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("line 3: 1 fields where 2 are expected"));
  Write("b.csv", "1,2\n3,9\n5,7\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("accepted"));  // first column: seconds, 0.5 Hz rounds to 1
  Write("b.csv", "1,2\n3,9\n4,7\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("tells the rate"));
}

}  // namespace
}  // namespace edgeloop::sensors
