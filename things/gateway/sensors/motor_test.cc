#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <map>
#include <numbers>

#include "things/gateway/sensors/motor_physics.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::sensors {
namespace {

using ::testing::HasSubstr;
using Samples = std::map<std::string, std::vector<double>>;

constexpr uint32_t kRateHz = 8000;

Samples Play(MotorOptions options, const MotorSegment& segment) {
  auto source = CreateMotorSource(options);
  EXPECT_TRUE(source) << source.error().ToString();
  const Status begun = (*source)->Begin({"s", segment});
  EXPECT_TRUE(begun) << begun.error().ToString();
  Samples samples;
  std::vector<float> block(options.channels.size() * 500);
  while (size_t count = (*source)->Read(block).value()) {
    for (size_t i = 0; i < count * options.channels.size(); ++i) {
      samples[options.channels[i % options.channels.size()]].push_back(block[i]);
    }
  }
  return samples;
}

double MeanOf(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}
double Rms(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  return std::sqrt(sum / static_cast<double>(x.size()));
}
double Kurtosis(const std::vector<double>& x) {
  const double mean = MeanOf(x);
  double second = 0, fourth = 0;
  for (double v : x) {
    second += (v - mean) * (v - mean);
    fourth += std::pow(v - mean, 4);
  }
  return fourth * static_cast<double>(x.size()) / (second * second);
}

// Amplitude of the line at a frequency, Hann window.
double Line(const std::vector<double>& x, double hz, double rate_hz = kRateHz) {
  std::complex<double> sum = 0, turn = 1;
  const std::complex<double> step = std::polar(1.0, -2 * std::numbers::pi * hz / rate_hz);
  const double n = static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i, turn *= step) {
    sum += turn * x[i] * (1 - std::cos(2 * std::numbers::pi * static_cast<double>(i) / n));
  }
  return 2 * std::abs(sum) / n;
}
// Strongest line within a span around a frequency, relative to the median of the neighbourhood.
double Prominence(const std::vector<double>& x, double hz, double span_hz) {
  double peak = 0;
  std::vector<double> around;
  for (double f = hz - span_hz; f <= hz + span_hz; f += 0.25) peak = std::max(peak, Line(x, f));
  for (double f = hz - 12; f <= hz + 12; f += 0.5) {
    if (std::abs(f - hz) > 2 * span_hz + 1) around.push_back(Line(x, f));
  }
  std::nth_element(around.begin(), around.begin() + static_cast<long>(around.size() / 2),
                   around.end());
  return peak / around[around.size() / 2];
}
// Envelope about the bearing's resonance: the squared signal after a crude band-pass.
std::vector<double> Envelope(const std::vector<double>& x) {
  std::vector<double> out(x.size());
  for (size_t i = 2; i < x.size(); ++i) {
    const double high = x[i] - 2 * x[i - 1] + x[i - 2];
    out[i] = high * high;
  }
  const double mean = MeanOf(out);
  for (double& v : out) v -= mean;
  return out;
}

TEST(MotorPhysics, SlipFollowsTheTorque) {
  const MotorRating rating;
  EXPECT_DOUBLE_EQ(SlipAtLoad(rating, 0), 0);
  EXPECT_NEAR(SlipAtLoad(rating, 1), RatedSlip(rating), 1e-12);
  EXPECT_NEAR(RatedSpeedRpm(rating), 1419, 5);
  EXPECT_NEAR(Operate(rating, 0, 1).speed_rpm, RatedSpeedRpm(rating), 1e-9);
  EXPECT_GT(Operate(rating, 0, 0.2).speed_rpm, 1480);
  const OperatingPoint driven = Operate(rating, 900, 1);
  EXPECT_NEAR(driven.speed_rpm, 900, 1e-9);
  EXPECT_NEAR(driven.supply_hz, 30 + RatedSlip(rating) * 50, 1e-9);
  EXPECT_NEAR(Operate(rating, 0, 1).current_a, RatedCurrentA(rating), 0.01);
}

TEST(MotorPhysics, BearingOrdersOfThePublishedTable) {
  const Bearing bearing;  // 6205, as in the CWRU records
  EXPECT_NEAR(bearing.InnerRace(), 5.4152, 2e-3);
  EXPECT_NEAR(bearing.OuterRace(), 3.5848, 2e-3);
  EXPECT_NEAR(2 * bearing.BallSpin(), 4.7135, 2e-3);
  EXPECT_NEAR(bearing.Cage(), 0.39828, 2e-4);
}

TEST(Motor, CurrentsAreThreePhasesOfTheSupply) {
  MotorOptions options{.channels = {"current_a", "current_b", "current_c", "speed_rpm"}};
  const Samples samples = Play(options, {.seed = 1, .duration_s = 2, .load = 1});
  const double rated = RatedCurrentA({});
  EXPECT_NEAR(Rms(samples.at("current_a")), rated, 0.02 * rated);
  EXPECT_NEAR(Line(samples.at("current_a"), 50), rated * std::sqrt(2), 0.02 * rated);
  double unbalance = 0;
  for (size_t i = 0; i < samples.at("current_a").size(); ++i) {
    unbalance =
        std::max(unbalance, std::abs(samples.at("current_a")[i] + samples.at("current_b")[i] +
                                     samples.at("current_c")[i]));
  }
  EXPECT_LT(unbalance, 0.1 * rated);
  EXPECT_NEAR(MeanOf(samples.at("speed_rpm")), RatedSpeedRpm({}), 3);

  const Samples faulty = Play(options, {.seed = 1,
                                        .duration_s = 2,
                                        .load = 1,
                                        .fault = MotorFault::kWinding,
                                        .severity = 0.8,
                                        .severity_start = 0.8});
  EXPECT_GT(Rms(faulty.at("current_a")), 1.15 * Rms(faulty.at("current_b")));
  EXPECT_GT(Line(faulty.at("current_a"), 150), 5 * Line(samples.at("current_a"), 150));
}

TEST(Motor, ShaftLineFollowsTheSpeedSquared) {
  const auto shaft_line = [](double rpm) {
    const Samples samples = Play({}, {.seed = 3, .duration_s = 4, .speed_rpm = rpm});
    EXPECT_GT(Prominence(samples.at("vib_x"), rpm / 60, 0.5), 8) << rpm;
    return Line(samples.at("vib_x"), rpm / 60);
  };
  EXPECT_NEAR(shaft_line(2400) / shaft_line(1200), 4, 0.5);
}

struct BearingCase {
  MotorFault fault;
  double order;
  double sideband_order;  // 0: none
};
TEST(Motor, BearingFaultsRingAtTheirFrequencies) {
  const Bearing bearing;
  for (const BearingCase& c :
       {BearingCase{MotorFault::kOuterRace, bearing.OuterRace(), 0},
        BearingCase{MotorFault::kInnerRace, bearing.InnerRace(), 1},
        BearingCase{MotorFault::kBall, 2 * bearing.BallSpin(), bearing.Cage()}}) {
    SCOPED_TRACE(MotorFaultName(c.fault));
    const double shaft_hz = 1480.0 / 60;
    const Samples healthy = Play({}, {.seed = 5, .duration_s = 6, .speed_rpm = 1480});
    const Samples faulty = Play({}, {.seed = 5,
                                     .duration_s = 6,
                                     .speed_rpm = 1480,
                                     .fault = c.fault,
                                     .severity = 0.8,
                                     .severity_start = 0.8});
    const auto envelope = Envelope(faulty.at("vib_x"));
    const double hz = c.order * shaft_hz;
    EXPECT_GT(Prominence(envelope, hz, 1.0), 4);
    EXPECT_LT(Prominence(Envelope(healthy.at("vib_x")), hz, 1.0), 4);
    if (c.sideband_order > 0) {
      EXPECT_GT(Prominence(envelope, c.sideband_order * shaft_hz, 0.5), 3);
    }
    EXPECT_GT(Kurtosis(faulty.at("vib_y")), 1.5 * Kurtosis(healthy.at("vib_y")));
    // The ringing is at the structure's own frequency, whatever the speed.
    double resonance = 0, elsewhere = 0;
    for (double f = 2800; f < 3000; f += 1) resonance += Line(faulty.at("vib_x"), f);
    for (double f = 2000; f < 2200; f += 1) elsewhere += Line(faulty.at("vib_x"), f);
    EXPECT_GT(resonance, 5 * elsewhere);
  }
}

TEST(Motor, RotorFaultsShowInShaftHarmonics) {
  const double hz = 1480.0 / 60;
  const auto play = [](MotorFault fault) {
    return Play({}, {.seed = 9,
                     .duration_s = 4,
                     .speed_rpm = 1480,
                     .fault = fault,
                     .severity = 0.7,
                     .severity_start = 0.7});
  };
  const Samples healthy = play(MotorFault::kNone);
  const Samples imbalance = play(MotorFault::kImbalance);
  const Samples misaligned = play(MotorFault::kMisalignment);
  EXPECT_GT(Line(imbalance.at("vib_x"), hz), 4 * Line(healthy.at("vib_x"), hz));
  EXPECT_LT(Line(imbalance.at("vib_x"), 2 * hz), 1.5 * Line(healthy.at("vib_x"), 2 * hz));
  EXPECT_GT(Line(misaligned.at("vib_x"), 2 * hz), 5 * Line(healthy.at("vib_x"), 2 * hz));
  EXPECT_GT(Line(misaligned.at("vib_z"), hz), 5 * Line(healthy.at("vib_z"), hz));
}

TEST(Motor, SeverityGrowsOverTheSegment) {
  const Samples samples = Play({}, {.seed = 2,
                                    .duration_s = 8,
                                    .speed_rpm = 1480,
                                    .fault = MotorFault::kInnerRace,
                                    .severity = 1,
                                    .severity_start = 0});
  const auto& x = samples.at("vib_x");
  const auto part = [&](size_t i) {
    const auto n = static_cast<long>(x.size() / 4);
    return Rms({x.begin() + static_cast<long>(i) * n, x.begin() + static_cast<long>(i + 1) * n});
  };
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(1.1 * part(i), part(i + 1)) << i;
}

TEST(Motor, SameSegmentSameSamples) {
  const MotorSegment segment{.seed = 7,
                             .duration_s = 0.5,
                             .speed_rpm = 1480,
                             .fault = MotorFault::kBall,
                             .severity = 0.5,
                             .severity_start = 0.5};
  auto source = CreateMotorSource({});
  ASSERT_TRUE(source);
  const auto play = [&](const MotorSegment& what, size_t block_frames) {
    EXPECT_TRUE((*source)->Begin({"s", what}));
    std::vector<float> all, block(block_frames * 4);
    while (size_t count = (*source)->Read(block).value()) {
      all.insert(all.end(), block.begin(), block.begin() + static_cast<long>(count * 4));
    }
    return all;
  };
  const auto first = play(segment, 256);
  EXPECT_EQ(first.size(), 4000u * 4);
  MotorSegment other = segment;
  other.seed = 8;
  EXPECT_NE(play(other, 256), first);
  EXPECT_EQ(play(segment, 7), first);  // whatever was played before, however it is read
}

TEST(Motor, TemperaturesSettleWithTheirTimeConstants) {
  MotorOptions options{.sample_rate_hz = 1000, .channels = {"winding_c", "bearing_c"}};
  const Samples samples = Play(options, {.seed = 1, .duration_s = 900, .load = 1, .warm = 0});
  const auto& winding = samples.at("winding_c");
  const auto& bearing = samples.at("bearing_c");
  const OperatingPoint point = Operate({}, 0, 1);
  const double winding_rise = WindingRiseK({}, point), bearing_rise = BearingRiseK({}, point, 1);
  EXPECT_NEAR(winding_rise, 75, 1);
  EXPECT_NEAR(winding.front(), 25, 0.5);
  EXPECT_NEAR(winding.back(), 25 + winding_rise * (1 - std::exp(-1.0)), 0.6);
  EXPECT_NEAR(bearing.back(), 25 + bearing_rise * (1 - std::exp(-900.0 / kBearingTimeConstantS)),
              0.6);
}

TEST(Motor, OpenContactorCoastsDownWithoutCurrent) {
  MotorOptions options{.channels = {"current_a", "speed_rpm", "vib_x"}};
  auto source = CreateMotorSource(options);
  ASSERT_TRUE(source);
  ASSERT_TRUE((*source)->Begin({"s", MotorSegment{.duration_s = 60}}));
  std::vector<float> block(kRateHz * 3);
  ASSERT_EQ((*source)->Read(block).value(), kRateHz);
  EXPECT_GT(block[1], 1400);
  (*source)->SetEnergised(false);
  float last = block[block.size() - 2];
  for (int second = 0; second < 20; ++second) {
    ASSERT_EQ((*source)->Read(block).value(), kRateHz);
    for (size_t i = 0; i < kRateHz; ++i) {
      ASSERT_EQ(block[3 * i], 0);
      ASSERT_LE(block[3 * i + 1], last);
      last = block[3 * i + 1];
    }
  }
  EXPECT_EQ(last, 0);
  (*source)->SetEnergised(true);
  ASSERT_EQ((*source)->Read(block).value(), kRateHz);
  EXPECT_GT(std::abs(*std::max_element(block.begin(), block.begin() + 600)), 2);
  for (int second = 0; second < 4; ++second) ASSERT_TRUE((*source)->Read(block));
  EXPECT_GT(block[block.size() - 2], 1400);
}

TEST(Motor, RefusesWithReason) {
  const auto error = [](const MotorOptions& options) {
    auto source = CreateMotorSource(options);
    return source ? "accepted" : source.error().message();
  };
  EXPECT_THAT(error({.sample_rate_hz = 10}), HasSubstr("sample_rate_hz must be in 1000.."));
  EXPECT_THAT(error({.channels = {"vib_q"}}), HasSubstr("no channel 'vib_q'; it can sense vib_x"));
  EXPECT_THAT(error({.channels = {"vib_x", "vib_x"}}), HasSubstr("given twice"));
  EXPECT_THAT(error({.channels = {}}), HasSubstr("1..8 channels"));
  EXPECT_THAT(error({.rated_kw = -1}), HasSubstr("rated_kw"));
}

}  // namespace
}  // namespace edgeloop::sensors
