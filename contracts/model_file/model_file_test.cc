#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "contracts/model_file/model_spec.h"
#include "core/base/crc32c.h"
#include "core/model/model.h"

namespace edgeloop::model_file {
namespace {

using model::OpKind;
using model::Scale;

// The worked example of docs/spec/elm.md.
ModelSpec Example() {
  ModelSpec spec;
  spec.name = "example";
  spec.version = 7;
  spec.sample_rate_hz = 1000;
  spec.channels = 1;
  spec.window = 256;
  spec.hop = 128;
  spec.envelope_low = 0.25F;
  spec.ops = {{OpKind::kRms, 1, Scale::kLog, 1, {}},
              {OpKind::kBands, 1, Scale::kRatio, 2, {0.0F, 0.125F, 1.0F}}};
  spec.normalization = {{-1.0F, 0.5F, 0.5F}, {2.0F, 4.0F, 4.0F}, 8.0F};
  Int8Network network{.input_scale = 0.0625F, .input_zero_point = 0};
  network.layers.push_back({.inputs = 3,
                            .outputs = 2,
                            .activation = nn::Activation::kRelu,
                            .output_zero_point = -128,
                            .weights = {127, -64, 32, -100, 127, 5},
                            .bias = {100, -200},
                            .multiplier = {1 << 30, 0x60000000},
                            .shift = {-6, -7}});
  network.layers.push_back({.inputs = 2,
                            .outputs = 1,
                            .activation = nn::Activation::kSigmoid,
                            .output_scale = 0.00048828125F,
                            .weights = {127, 63},
                            .bias = {-3000}});
  spec.network = network;
  spec.decision = {.alarm_on = 0.75F,
                   .alarm_off = 0.5F,
                   .trip_count = 3,
                   .trip_window = 4,
                   .action = model::Action::kOpenContactor};
  spec.health = {.probation_windows = 16, .max_alarm_fraction = 0.25F, .max_compute_us = 50'000};
  return spec;
}

// Every operation and scale, channels that differ, a float network of three layers.
ModelSpec AllOps() {
  ModelSpec spec;
  spec.name = "all-ops";
  spec.version = 1;
  spec.sample_rate_hz = 20'000;
  spec.channels = 2;
  spec.window = 512;
  spec.hop = 512;
  spec.window_kind = dsp::WindowKind::kHamming;
  spec.envelope_low = 0.1F;
  spec.envelope_high = 0.9F;
  spec.ops = {{OpKind::kRms, 1, Scale::kLog, 1, {}},
              {OpKind::kRms, 2, Scale::kLinear, 1, {}},
              {OpKind::kPeak, 3, Scale::kLinear, 1, {}},
              {OpKind::kCrest, 3, Scale::kLinear, 1, {}},
              {OpKind::kKurtosis, 3, Scale::kLinear, 1, {}},
              {OpKind::kSkewness, 3, Scale::kLinear, 1, {}},
              {OpKind::kZeroCrossings, 3, Scale::kLinear, 1, {}},
              {OpKind::kBands, 1, Scale::kLog, 3, {0.0F, 0.1F, 0.3F, 1.0F}},
              {OpKind::kBands, 2, Scale::kLinear, 2, {0.05F, 0.2F, 0.9F}},
              {OpKind::kDominant, 3, Scale::kLinear, 3, {}},
              {OpKind::kDominantAmplitude, 3, Scale::kLog, 3, {}},
              {OpKind::kCentroid, 3, Scale::kLinear, 1, {}},
              {OpKind::kEnvRms, 3, Scale::kLog, 1, {}},
              {OpKind::kEnvKurtosis, 3, Scale::kLinear, 1, {}},
              {OpKind::kEnvPeak, 3, Scale::kLinear, 1, {}},
              {OpKind::kEnvBands, 1, Scale::kRatio, 2, {0.0F, 0.5F, 1.0F}}};
  const std::uint16_t features = 21 + 18;
  std::mt19937 random(21);
  const auto draw = [&random](std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = (static_cast<float>(random() >> 8) / 8388608.0F - 1.0F) / 4;
    return values;
  };
  spec.normalization.mean = draw(features);
  spec.normalization.inv_std.assign(features, 0.5F);
  const auto layer = [&draw](std::uint16_t in, std::uint16_t out, nn::Activation activation) {
    return FloatLayer{in, out, activation, draw(std::size_t{in} * out), draw(out)};
  };
  spec.network =
      FloatNetwork{{layer(features, 6, nn::Activation::kRelu), layer(6, 4, nn::Activation::kNone),
                    layer(4, 1, nn::Activation::kSigmoid)}};
  return spec;
}

// Needs nothing but aligned memory.
struct Workspace {
  explicit Workspace(std::size_t bytes) : storage((bytes + 15) / 16) {}
  std::span<std::byte> span() { return std::as_writable_bytes(std::span(storage)); }
  struct alignas(16) Block {
    std::byte bytes[16];
  };
  std::vector<Block> storage;
};

std::string GoldenPath(const std::string& name) {
  return EDGELOOP_SOURCE_DIR "/core/model/testdata/" + name;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// As `xxd` prints it.
std::string HexDump(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  char buffer[16];
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::snprintf(buffer, sizeof buffer, "%08zx:", at);
    text += buffer;
    std::string ascii;
    for (std::size_t i = at; i < at + 16; ++i) {
      if (i % 2 == 0) text += ' ';
      if (i >= bytes.size()) {
        text += "  ";
        continue;
      }
      std::snprintf(buffer, sizeof buffer, "%02x", bytes[i]);
      text += buffer;
      ascii += bytes[i] >= 0x20 && bytes[i] < 0x7F ? static_cast<char>(bytes[i]) : '.';
    }
    text += "  " + ascii + "\n";
  }
  return text;
}

// After a change of the format: EDGELOOP_UPDATE_GOLDEN=1 contracts_model_file_test
void ExpectGolden(const std::string& name, const ModelSpec& spec) {
  const auto bytes = Write(spec);
  ASSERT_TRUE(bytes) << bytes.error().ToString();
  const std::string written(bytes->begin(), bytes->end());
  if (std::getenv("EDGELOOP_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(GoldenPath(name), std::ios::binary) << written;
  }
  EXPECT_EQ(ReadFile(GoldenPath(name)), written) << name;
}

TEST(GoldenTest, FilesAreWhatWriteGives) {
  ExpectGolden("example.elm", Example());
  ExpectGolden("all_ops.elm", AllOps());
  ExpectGolden("factory.elm", DefaultMotorPipeline(20'000, 3, 2048, 512));
}

TEST(GoldenTest, SpecificationShowsTheExampleByteForByte) {
  const std::string spec = ReadFile(EDGELOOP_SOURCE_DIR "/docs/spec/elm.md");
  const std::string dump = HexDump(*Write(Example()));
  EXPECT_NE(spec.find(dump), std::string::npos) << "the example is now:\n" << dump;
}

TEST(RoundTripTest, ReadGivesBackWhatWasWritten) {
  for (const ModelSpec& spec : {Example(), AllOps(), DefaultMotorPipeline(20'000, 3, 2048, 512)}) {
    const auto bytes = Write(spec);
    ASSERT_TRUE(bytes) << bytes.error().ToString();
    const auto back = Read(*bytes);
    ASSERT_TRUE(back) << back.error().ToString();
    EXPECT_EQ(*back, spec);
  }
}

TEST(RoundTripTest, ReadNamesTheReasonOfRefusal) {
  auto bytes = *Write(Example());
  bytes[200] ^= 1;
  const auto back = Read(bytes);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(back.error().message().find("checksum"), std::string::npos);
}

TEST(WriteTest, RefusesWhatDevicesWouldRefuse) {
  const auto refused = [](auto change) {
    ModelSpec spec = Example();
    change(spec);
    return !Write(spec).has_value();
  };
  const auto int8 = [](ModelSpec& s) -> Int8Network& { return std::get<Int8Network>(s.network); };
  EXPECT_FALSE(refused([](ModelSpec&) {}));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.name = ""; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.name = "Upper"; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.name = std::string(49, 'a'); }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.window = 1000; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.ops.clear(); }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.ops[1].edges.pop_back(); }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.ops[0].edges = {0, 1}; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.normalization.mean.pop_back(); }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.normalization.inv_std[0] = 0; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.normalization.mean[0] = std::nanf(""); }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.network = std::monostate{}; }));
  EXPECT_TRUE(refused([](ModelSpec& s) { s.network = FloatNetwork{}; }));
  EXPECT_TRUE(refused([&](ModelSpec& s) { int8(s).layers[0].weights.push_back(1); }));
  EXPECT_TRUE(refused([&](ModelSpec& s) { int8(s).layers[0].bias.pop_back(); }));
  EXPECT_TRUE(refused([&](ModelSpec& s) { int8(s).layers[0].shift.clear(); }));
  EXPECT_TRUE(refused([&](ModelSpec& s) { int8(s).layers[1].multiplier = {1 << 30}; }));
  EXPECT_TRUE(refused([&](ModelSpec& s) { int8(s).layers.pop_back(); }));
}

TEST(ToFixedPointTest, IsCloseToTheFactor) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> exponent(-31.5, 6.9);
  for (int i = 0; i < 10'000; ++i) {
    const double factor = std::exp2(exponent(random));
    const auto fixed = ToFixedPoint(factor);
    ASSERT_TRUE(fixed) << factor;
    EXPECT_NEAR(std::ldexp(fixed->multiplier, fixed->shift - 31) / factor, 1.0, 1e-9);
    EXPECT_GE(fixed->multiplier, 1 << 30);
  }
  EXPECT_EQ(ToFixedPoint(1.0 - 1e-12)->shift, 1);  // rounds up to the next power of two
  for (const double bad : {0.0, -1.0, 1e-12, 128.0, std::nan(""), HUGE_VAL}) {
    EXPECT_FALSE(ToFixedPoint(bad)) << bad;
  }
}

TEST(DefaultMotorPipelineTest, IsAWorkingFactoryModelAtEveryWindow) {
  for (std::uint32_t window = model::kMinWindow; window <= model::kMaxWindow; window *= 2) {
    for (const std::uint8_t channels : {1, 3, 8}) {
      const auto bytes = Write(DefaultMotorPipeline(20'000, channels, window, window / 4));
      ASSERT_TRUE(bytes) << window << " " << bytes.error().ToString();
      model::Model m;
      ASSERT_EQ(model::Model::Open(*bytes, &m), core::Code::kOk);
      EXPECT_EQ(m.feature_count(), 13 * channels);
      const std::vector<std::string> names = FeatureNames(m);
      EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    }
  }
}

TEST(DefaultMotorPipelineTest, NamesAndScoreOfTheFactoryModel) {
  const auto bytes = *Write(DefaultMotorPipeline(20'000, 3, 2048, 512));
  model::Model m;
  ASSERT_EQ(model::Model::Open(bytes, &m), core::Code::kOk);
  const std::vector<std::string> names = FeatureNames(m);
  EXPECT_EQ(names[0], "ch0.rms");
  EXPECT_EQ(names[5], "ch0.band0");
  EXPECT_EQ(names[12], "ch0.band7");
  EXPECT_EQ(names[13 + 3], "ch1.kurtosis");
  EXPECT_EQ(names[38], "ch2.band7");
  Workspace workspace(m.workspace_bytes());
  const std::vector<float> samples(2048 * 3, 0.25F);  // silence on an offset
  std::vector<float> features(m.feature_count());
  ASSERT_EQ(m.Features(samples, workspace.span(), features), core::Code::kOk);
  EXPECT_FLOAT_EQ(features[0], std::log(1e-9F));
  float score = -1;
  ASSERT_EQ(m.Score(features, workspace.span(), &score), core::Code::kOk);
  EXPECT_EQ(score, 0.0F);
}

// Doubling a signal must shift log features by ln 2 (amplitudes) or ln 4 (powers), nothing else.
TEST(DefaultMotorPipelineTest, ScaleOfTheSensorIsOnlyAnOffset) {
  const auto bytes = *Write(DefaultMotorPipeline(20'000, 1, 2048, 512));
  model::Model m;
  ASSERT_EQ(model::Model::Open(bytes, &m), core::Code::kOk);
  Workspace workspace(m.workspace_bytes());
  std::mt19937 random(8);
  std::vector<float> samples(2048), once(m.feature_count()), twice(m.feature_count());
  for (float& v : samples) v = static_cast<float>(random()) / 4294967296.0F - 0.5F;
  ASSERT_EQ(m.Features(samples, workspace.span(), once), core::Code::kOk);
  for (float& v : samples) v *= 2;
  ASSERT_EQ(m.Features(samples, workspace.span(), twice), core::Code::kOk);
  const std::vector<std::string> names = FeatureNames(m);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool power = names[i].find("band") != std::string::npos;
    const bool amplitude = names[i].ends_with("rms") || names[i].ends_with("peak");
    const double shift = power ? std::log(4.0) : amplitude ? std::log(2.0) : 0.0;
    EXPECT_NEAR(twice[i] - once[i], shift, 1e-5 * (1 + std::fabs(once[i]))) << names[i];
  }
}

}  // namespace
}  // namespace edgeloop::model_file
