#include "core/model/model.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "core/base/bytes.h"
#include "core/model/layout.h"
#include "core/model/model_test_support.h"

namespace edgeloop::model {
namespace {

using core::Code;

Model Opened(const std::vector<std::uint8_t>& file) {
  Model m;
  EXPECT_EQ(Model::Open(file, &m), Code::kOk);
  return m;
}

std::vector<float> FeaturesOf(const Model& m, const std::vector<float>& samples) {
  Scratch scratch(m.workspace_bytes());
  std::vector<float> features(m.feature_count());
  EXPECT_EQ(m.Features(samples, scratch.span(), features), Code::kOk);
  return features;
}

float ScoreOf(const Model& m, const std::vector<float>& features) {
  Scratch scratch(m.workspace_bytes());
  float score = -1;
  EXPECT_EQ(m.Score(features, scratch.span(), &score), Code::kOk);
  return score;
}

TEST(VerifyTest, AcceptsTheGoldenFiles) {
  for (const char* name : {"example.elm", "all_ops.elm", "factory.elm"}) {
    EXPECT_EQ(Verify(Golden(name)), Code::kOk) << name;
  }
}

TEST(VerifyTest, RefusesEveryTruncationAndEveryTrailingByte) {
  for (const char* name : {"example.elm", "all_ops.elm"}) {
    std::vector<std::uint8_t> file = Golden(name);
    for (std::size_t size = 0; size < file.size(); ++size) {
      // A copy of that very size, so that AddressSanitizer sees a read behind it.
      const std::vector<std::uint8_t> cut(file.begin(),
                                          file.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(Verify(cut), Code::kTruncated) << size;
    }
    file.push_back(0);
    EXPECT_EQ(Verify(file), Code::kTrailingBytes);
  }
}

TEST(VerifyTest, RefusesEverySingleBitFlip) {
  for (const char* name : {"example.elm", "all_ops.elm"}) {
    std::vector<std::uint8_t> file = Golden(name);
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
      file[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_NE(Verify(file), Code::kOk) << bit;
      file[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    EXPECT_EQ(Verify(file), Code::kOk);
  }
}

// A little-endian value put at an offset of the example, with the checksum made right.
struct Forgery {
  std::size_t at;
  unsigned bytes;
  std::uint32_t value;
  Code expected;
};

constexpr std::uint32_t kNaN = 0x7FC00000;
constexpr std::uint32_t kInfinity = 0x7F800000;
constexpr std::uint32_t kMinusOne = 0xBF800000;

// Offsets of docs/spec/elm.md: pipeline 128 (op 0: 4 bytes, op 1: 4 + 12), normalisation 148
// (clip, 3 means, 3 inverse deviations), network 176 (layer 0 at 188, layer 1 at 240).
const Forgery kForgeries[] = {
    {0, 1, 'X', Code::kBadMagic},
    {4, 2, 2, Code::kBadVersion},
    {6, 2, 120, Code::kBadSectionSize},
    {8, 4, 131, Code::kBadSectionSize},
    {8, 4, 0xFFFFFFFF, Code::kBadSectionSize},
    {8, 4, 265, Code::kTruncated},
    {8, 4, 263, Code::kTrailingBytes},
    {16, 1, 0, Code::kBadName},
    {16, 1, 'A', Code::kBadName},
    {63, 1, 'a', Code::kReservedNotZero},
    {64, 4, 0, Code::kBadGeometry},
    {64, 4, 10'000'001, Code::kBadGeometry},
    {68, 4, 0, Code::kBadGeometry},
    {68, 4, 128, Code::kBadGeometry},
    {68, 4, 300, Code::kBadGeometry},
    {68, 4, 16384, Code::kBadGeometry},
    {72, 4, 0, Code::kBadGeometry},
    {72, 4, 257, Code::kBadGeometry},
    {76, 1, 0, Code::kBadGeometry},
    {76, 1, 9, Code::kBadGeometry},
    {77, 1, 3, Code::kBadGeometry},
    {78, 2, 4, Code::kBadPipeline},
    {78, 2, 0xFFFF, Code::kBadPipeline},
    {80, 2, 0, Code::kBadPipeline},
    {80, 2, 1, Code::kBadSectionSize},
    {80, 2, 3, Code::kBadSectionSize},
    {80, 2, 65, Code::kBadPipeline},
    {82, 1, 1, Code::kReservedNotZero},
    {84, 4, 24, Code::kBadSectionSize},
    {84, 4, 0xFFFFFFFC, Code::kBadSectionSize},
    {88, 4, 0xFFFFFFFF, Code::kBadSectionSize},
    {92, 4, 0, Code::kBadSectionSize},
    {96, 4, kNaN, Code::kParameterNotFinite},
    {96, 4, kMinusOne, Code::kBadPipeline},
    {96, 4, 0x3F800000, Code::kBadPipeline},   // low = high = 1
    {100, 4, 0x3F800001, Code::kBadPipeline},  // just above Nyquist
    {100, 4, kInfinity, Code::kParameterNotFinite},
    {104, 4, kNaN, Code::kParameterNotFinite},
    {104, 4, 0x3F800001, Code::kBadDecision},
    {104, 4, 0x3E800000, Code::kBadDecision},  // 0.25, below alarm_off
    {108, 4, 0, Code::kBadDecision},
    {108, 4, kInfinity, Code::kParameterNotFinite},
    {112, 1, 0, Code::kBadDecision},
    {112, 1, 5, Code::kBadDecision},
    {113, 1, 65, Code::kBadDecision},
    {114, 1, 2, Code::kBadDecision},
    {115, 1, 1, Code::kReservedNotZero},
    {116, 2, 0, Code::kBadHealth},
    {118, 1, 1, Code::kReservedNotZero},
    {120, 4, kNaN, Code::kParameterNotFinite},
    {120, 4, kMinusOne, Code::kBadHealth},
    {124, 4, 0, Code::kBadHealth},
    {128, 1, 0, Code::kBadPipeline},  // unknown operation
    {128, 1, 255, Code::kBadPipeline},
    {128, 1, 16, Code::kBadPipeline},  // bands, whose edges are the next record
    {129, 1, 0, Code::kBadPipeline},   // no channel
    {129, 1, 2, Code::kBadPipeline},   // a channel that is not there
    {130, 1, 2, Code::kBadPipeline},   // the rms has no ratio
    {131, 1, 2, Code::kBadPipeline},   // nor two values
    {132, 1, 1, Code::kBadPipeline},   // rms twice
    {135, 1, 0, Code::kBadPipeline},
    {135, 1, 3, Code::kBadSectionSize},
    {135, 1, 33, Code::kBadPipeline},
    {136, 4, kNaN, Code::kParameterNotFinite},
    {136, 4, kMinusOne, Code::kBadPipeline},
    {136, 4, 0x3E000000, Code::kBadPipeline},  // edges 0.125, 0.125
    {136, 4, 0x3DFF0000, Code::kBadPipeline},  // an empty band: 0.1245..0.125 holds no bin of 128
    {144, 4, 0x40000000, Code::kBadPipeline},
    {148, 4, 0, Code::kBadNormalization},
    {148, 4, kInfinity, Code::kParameterNotFinite},
    {152, 4, kNaN, Code::kParameterNotFinite},
    {164, 4, 0, Code::kBadNormalization},
    {168, 4, kMinusOne, Code::kBadNormalization},
    {172, 4, kInfinity, Code::kParameterNotFinite},
    {176, 1, 0, Code::kBadNetwork},
    {176, 1, 3, Code::kBadNetwork},
    {176, 1, 1, Code::kReservedNotZero},  // a float network has no input scale
    {177, 1, 0, Code::kBadNetwork},
    {177, 1, 1, Code::kBadNetwork},  // then the first layer is the last
    {177, 1, 9, Code::kBadNetwork},
    {177, 1, 3, Code::kBadNetwork},  // then the second is not
    {178, 1, 1, Code::kReservedNotZero},
    {180, 4, 0, Code::kBadNetwork},
    {180, 4, kNaN, Code::kParameterNotFinite},
    {184, 4, 128, Code::kBadNetwork},
    {188, 2, 2, Code::kBadNetwork},  // inputs that are not the features
    {190, 2, 0, Code::kBadNetwork},
    {190, 2, 513, Code::kBadNetwork},
    {190, 2, 512, Code::kBadSectionSize},
    {192, 1, 2, Code::kBadNetwork},  // sigmoid before the end
    {192, 1, 3, Code::kBadNetwork},
    {193, 1, 1, Code::kReservedNotZero},
    {196, 4, 0x3F800000, Code::kBadNetwork},  // a scale where requantisation is
    {200, 4, 128, Code::kBadNetwork},
    {204, 4, 0x40000001, Code::kBadNetwork},  // bias
    {212, 4, 0x3FFFFFFF, Code::kBadNetwork},  // multiplier
    {212, 4, 0x80000000, Code::kBadNetwork},
    {220, 4, 8, Code::kBadNetwork},           // shift
    {220, 4, 0xFFFFFFE0, Code::kBadNetwork},  // -32
    {228, 1, 0x80, Code::kBadNetwork},        // weight -128
    {234, 1, 1, Code::kReservedNotZero},      // padding
    {236, 2, 3, Code::kBadNetwork},
    {238, 2, 2, Code::kBadNetwork},
    {240, 1, 1, Code::kBadNetwork},  // no sigmoid at the end
    {244, 4, 0, Code::kBadNetwork},
    {248, 4, 1, Code::kBadNetwork},
};

TEST(VerifyTest, NamesTheReasonOfEachForgery) {
  const std::vector<std::uint8_t> good = Golden("example.elm");
  for (const Forgery& forgery : kForgeries) {
    std::vector<std::uint8_t> file = good;
    for (unsigned i = 0; i < forgery.bytes; ++i) {
      file[forgery.at + i] = static_cast<std::uint8_t>(forgery.value >> (8 * i));
    }
    Seal(file);
    EXPECT_STREQ(core::CodeText(Verify(file)), core::CodeText(forgery.expected))
        << "offset " << forgery.at << " value " << forgery.value;
  }
}

TEST(VerifyTest, RefusesNonFiniteFloatWeights) {
  std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const std::size_t weights_end = file.size() - layout::kChecksumBytes;
  for (const std::uint32_t bad : {kNaN, kInfinity}) {
    std::vector<std::uint8_t> forged = file;
    std::memcpy(&forged[weights_end - 4], &bad, 4);
    Seal(forged);
    EXPECT_EQ(Verify(forged), Code::kParameterNotFinite);
  }
}

TEST(ModelTest, OpenLeavesTheModelAloneOnFailure) {
  const std::vector<std::uint8_t> file = Golden("example.elm");
  Model m = Opened(file);
  EXPECT_EQ(Model::Open(std::span(file).first(100), &m), Code::kTruncated);
  EXPECT_EQ(m.name(), "example");
  EXPECT_EQ(m.version(), 7U);
  EXPECT_EQ(m.sample_rate_hz(), 1000U);
  EXPECT_EQ(m.channels(), 1);
  EXPECT_EQ(m.window(), 256U);
  EXPECT_EQ(m.hop(), 128U);
  EXPECT_EQ(m.feature_count(), 3);
  EXPECT_EQ(m.decision(), (DecisionParams{0.75F, 0.5F, 3, 4, Action::kOpenContactor}));
  EXPECT_EQ(m.health(), (HealthParams{16, 0.25F, 50'000}));
}

TEST(ModelTest, NamesFeaturesInOrder) {
  const std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const Model m = Opened(file);
  std::array<char, kMaxFeatureNameChars> buffer;
  EXPECT_EQ(m.FeatureName(0, buffer), "ch0.rms");
  EXPECT_EQ(m.FeatureName(5, buffer), "ch0.zero_cross_hz");
  EXPECT_EQ(m.FeatureName(8, buffer), "ch0.band2");
  EXPECT_EQ(m.FeatureName(9, buffer), "ch0.dom0_hz");
  EXPECT_EQ(m.FeatureName(14, buffer), "ch0.dom2_amp");
  EXPECT_EQ(m.FeatureName(20, buffer), "ch0.env.band1");
  EXPECT_EQ(m.FeatureName(21, buffer), "ch1.rms");
  EXPECT_EQ(m.FeatureName(38, buffer), "ch1.env.peak_hz");
  EXPECT_EQ(m.FeatureName(39, buffer), "");
  EXPECT_EQ(m.FeatureName(0, std::span(buffer).first(7)), "");  // no room for the zero
  EXPECT_EQ(m.FeatureName(0, std::span(buffer).first(8)), "ch0.rms");
}

TEST(FeaturesTest, OfAToneHaveTheirClosedForms) {
  const std::vector<std::uint8_t> file = Golden("all_ops.elm");  // 20 kHz, 512 samples
  const Model m = Opened(file);
  std::vector<float> samples(2 * m.window());
  for (std::size_t i = 0; i < m.window(); ++i) {
    const double turn = static_cast<double>(i) / m.window();
    // Channel 0: bin 120 (4687.5 Hz), amplitude 2, offset 1. Channel 1: the same, modulated by
    // bin 8.
    const double tone = 2 * std::sin(2 * std::numbers::pi * 120 * turn + 0.3);
    samples[2 * i] = static_cast<float>(1 + tone);
    samples[2 * i + 1] =
        static_cast<float>(tone * (1 + 0.5 * std::cos(2 * std::numbers::pi * 8 * turn)));
  }
  const std::vector<float> f = FeaturesOf(m, samples);
  const double bin_hz = 20'000.0 / 512;
  EXPECT_NEAR(f[0], std::log(std::sqrt(2.0)), 1e-6);  // rms, log
  EXPECT_NEAR(f[3], 1.5, 1e-5);                       // kurtosis of a sine
  EXPECT_NEAR(f[4], 0.0, 1e-5);
  EXPECT_NEAR(f[5], 9375, 60);             // two crossings a period
  EXPECT_NEAR(f[8], std::log(2.0), 1e-3);  // its band holds A^2 / 2
  EXPECT_NEAR(f[9], 4687.5, 0.02 * bin_hz);
  EXPECT_NEAR(f[12], std::log(2.0), 1e-3);  // amplitude, log
  EXPECT_NEAR(f[15], 4687.5, 1);            // centroid
  EXPECT_LT(f[16], std::log(1e-5));         // no modulation
  // Channel 1: rms^2 = 2 (1 + 0.5^2 / 2); envelope 2 (1 + 0.5 cos).
  EXPECT_NEAR(f[21], std::sqrt(2 * 1.125), 1e-5);
  EXPECT_NEAR(f[36], std::log(1.0 / std::numbers::sqrt2), 1e-5);
  EXPECT_NEAR(f[37], 1.5, 1e-4);
  EXPECT_NEAR(f[38], 8 * bin_hz, 0.02 * bin_hz);
}

// The reference bits: whatever compiler, optimisation or processor made this build, the same
// samples give these features and this score. A change here breaks what deployed models learned.
TEST(FeaturesTest, HaveTheSameBitsInEveryBuild) {
  const std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const Model m = Opened(file);
  const std::vector<float> f = FeaturesOf(m, IntegerNoise(m.window() * m.channels(), 1));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(f.data());
  EXPECT_EQ(core::Crc32c({bytes, f.size() * sizeof(float)}), 943337731U);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(ScoreOf(m, f)), 1057206883U);
}

TEST(FeaturesTest, DoNotDependOnWhatTheWorkspaceHeld) {
  const std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const Model m = Opened(file);
  const std::vector<float> samples = IntegerNoise(m.window() * m.channels(), 2);
  Scratch scratch(m.workspace_bytes());
  std::vector<float> first(m.feature_count()), second(m.feature_count());
  std::memset(scratch.span().data(), 0xFF, scratch.span().size());  // NaN
  EXPECT_EQ(m.Features(samples, scratch.span(), first), Code::kOk);
  EXPECT_EQ(m.Features(samples, scratch.span(), second), Code::kOk);
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST(FeaturesTest, RefuseWrongBuffersAndBadSamples) {
  const std::vector<std::uint8_t> file = Golden("example.elm");
  const Model m = Opened(file);
  Scratch scratch(m.workspace_bytes() + 16);
  const std::span<std::byte> all = scratch.span();
  std::vector<float> samples(256, 1.0F), out(3);
  const auto good = all.first(m.workspace_bytes());
  EXPECT_EQ(m.Features(samples, good, out), Code::kOk);
  EXPECT_EQ(m.Features(std::span(samples).first(255), good, out), Code::kBadSize);
  EXPECT_EQ(m.Features(samples, good, std::span(out).first(2)), Code::kBadSize);
  EXPECT_EQ(m.Features(samples, all.first(100), out), Code::kBadWorkspace);
  EXPECT_EQ(m.Features(samples, all.subspan(4), out), Code::kBadWorkspace);
  EXPECT_EQ(Model().Features({}, good, {}), Code::kBadSize);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF, -HUGE_VALF}) {
    samples[17] = bad;
    EXPECT_EQ(m.Features(samples, good, out), Code::kNotFinite);
  }
  samples[17] = 3e38F;  // finite, but its square is not
  EXPECT_EQ(m.Features(samples, good, out), Code::kNotFinite);
}

TEST(ScoreTest, OfInt8NetworkIsTheIntegerArithmeticOfTheSpecification) {
  const std::vector<std::uint8_t> file = Golden("example.elm");
  const Model m = Opened(file);
  // docs/spec/elm.md works this example: q = (32, -16, 16); hidden accumulators 5700 and -5352;
  // hidden outputs -83 and -128; last accumulator 2715; logit 1.32568359375.
  EXPECT_FLOAT_EQ(ScoreOf(m, {0.0F, 0.25F, 0.75F}),
                  static_cast<float>(1 / (1 + std::exp(-1.32568359375))));
}

TEST(ScoreTest, OfFloatNetworkMatchesDoublePrecision) {
  const std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const Model m = Opened(file);
  const std::vector<float> features = IntegerNoise(m.feature_count(), 3);
  const auto f32 = [&file](std::size_t at) {
    return static_cast<double>(core::LoadF32(file.data() + at));
  };
  std::size_t at = layout::kHeaderBytes + core::LoadU32(file.data() + layout::kPipelineBytesAt);
  const std::size_t n = m.feature_count();
  std::vector<double> in(n);
  for (std::size_t i = 0; i < n; ++i) {
    in[i] = (features[i] - f32(at + 4 + 4 * i)) * f32(at + 4 + 4 * (n + i));
  }
  at += 4 + 8 * n + layout::kNetworkHeaderBytes;
  for (const std::size_t outputs : {6U, 4U, 1U}) {
    at += layout::kLayerHeaderBytes;
    std::vector<double> out(outputs);
    for (std::size_t o = 0; o < outputs; ++o) {
      out[o] = f32(at + 4 * o);
      for (std::size_t i = 0; i < in.size(); ++i) {
        out[o] += f32(at + 4 * outputs + 4 * (o * in.size() + i)) * in[i];
      }
      if (outputs == 6) out[o] = std::max(out[o], 0.0);
    }
    at += 4 * outputs * (1 + in.size());
    in = out;
  }
  EXPECT_NEAR(ScoreOf(m, features), 1 / (1 + std::exp(-in[0])), 1e-6);
}

TEST(ScoreTest, RefusesWrongBuffersAndNonFiniteFeatures) {
  const std::vector<std::uint8_t> file = Golden("example.elm");
  const Model m = Opened(file);
  Scratch scratch(m.workspace_bytes());
  float score = 0;
  const std::vector<float> good(3, 1e30F);  // far outside: clipped
  EXPECT_EQ(m.Score(good, scratch.span(), &score), Code::kOk);
  EXPECT_EQ(m.Score(std::span(good).first(2), scratch.span(), &score), Code::kBadSize);
  EXPECT_EQ(m.Score(good, scratch.span().first(16), &score), Code::kBadWorkspace);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF}) {
    EXPECT_EQ(m.Score(std::vector<float>{0, bad, 0}, scratch.span(), &score), Code::kNotFinite);
  }
}

TEST(ScoreTest, OverflowInTheNetworkIsReported) {
  // The last weights and the bias of the float network made huge: inf - inf on the way.
  std::vector<std::uint8_t> file = Golden("all_ops.elm");
  const float huge = 3e38F;
  for (std::size_t at = file.size() - 4 - 6 * 40 * 4; at + 4 < file.size(); at += 4) {
    std::memcpy(&file[at], &huge, 4);
  }
  // Restore the headers of the two later layers that lay in between.
  const std::vector<std::uint8_t> good = Golden("all_ops.elm");
  for (const std::size_t layer_end : {4U + 20U + 16U, 4U + 20U + 16U + 4U * 28U + 16U}) {
    std::memcpy(&file[file.size() - layer_end], &good[file.size() - layer_end], 16);
  }
  Seal(file);
  const Model m = Opened(file);
  Scratch scratch(m.workspace_bytes());
  float score = 0;
  EXPECT_EQ(m.Score(IntegerNoise(m.feature_count(), 4), scratch.span(), &score), Code::kNotFinite);
}

}  // namespace
}  // namespace edgeloop::model
