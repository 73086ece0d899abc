// An induction motor and its sensors, sample by sample. README.md tells the model in words.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "things/gateway/sensors/motor_physics.h"
#include "things/gateway/sensors/random.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::sensors {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr double kGravity = 9.80665;

enum Quantity {
  kVibX,
  kVibY,
  kVibZ,
  kCurrentA,
  kCurrentB,
  kCurrentC,
  kSound,
  kWindingC,
  kBearingC,
  kSpeedRpm,
  kQuantities
};
struct Sensed {
  std::string_view name;
  std::string_view unit;
};
constexpr std::array<Sensed, kQuantities> kSensed = {{{"vib_x", "g"},
                                                      {"vib_y", "g"},
                                                      {"vib_z", "g"},
                                                      {"current_a", "A"},
                                                      {"current_b", "A"},
                                                      {"current_c", "A"},
                                                      {"sound", "Pa"},
                                                      {"winding_c", "degC"},
                                                      {"bearing_c", "degC"},
                                                      {"speed_rpm", "rpm"}}};

// Balance quality grade G 2.5 (ISO 21940-11): eccentricity times angular speed of 2.5 mm/s.
constexpr double kBalanceGradeMS = 0.0025;
constexpr double kHousingShare = 0.35;   // of the rotor's acceleration felt at the housing
constexpr double kImpactG = 1.6;         // of a fully grown spall at rated speed and load
constexpr double kRollingNoiseG = 0.02;  // of a healthy bearing at rated speed
constexpr double kSensorNoiseG = 0.0015;
constexpr double kImpactJitter = 0.008;  // balls slip: standard deviation of the spacing
constexpr int kFanBlades = 7;
constexpr double kRunUpS = 0.35;     // time constant after the contactor closes
constexpr double kCoastDownS = 2.5;  // time constant without supply at no load

// One damped mode of the structure. Its state turns and decays; an impulse at any instant between
// two samples adds exactly what would have rung on since.
class Mode {
 public:
  Mode(double frequency_hz, double damping, double sample_rate_hz)
      : rate_(-damping * kTwoPi * frequency_hz,
              kTwoPi * frequency_hz * std::sqrt(1 - damping * damping)),
        turn_(std::exp(rate_ / sample_rate_hz)) {}

  void Strike(double amplitude, double age_s) { state_ += amplitude * std::exp(rate_ * age_s); }
  void Drive(double amplitude) { state_ += amplitude; }
  double Next() {
    const double value = state_.imag();
    state_ = {state_.real() * turn_.real() - state_.imag() * turn_.imag(),
              state_.real() * turn_.imag() + state_.imag() * turn_.real()};
    return value;
  }
  // Standard deviation of Next() when driven by white noise of unit variance.
  double NoiseGain() const { return std::sqrt(0.5 / (1 - std::norm(turn_))); }

 private:
  std::complex<double> rate_, turn_, state_;
};

// What tells this machine from others of its type.
struct Traits {
  double imbalance, imbalance_phase, misalignment, frame_hz, bearing_hz, noise;

  explicit Traits(uint64_t seed, double sample_rate_hz) {
    Random random(seed ^ 0x6D6F746F72u);
    imbalance = random.Uniform(0.85, 1.15);
    imbalance_phase = random.Uniform(0, kTwoPi);
    misalignment = random.Uniform(0.12, 0.18);
    const double highest = 0.38 * sample_rate_hz;  // a mode above would not be seen
    frame_hz = std::min(1150 * random.Uniform(0.98, 1.02), 0.5 * highest);
    bearing_hz = std::min(2900 * random.Uniform(0.98, 1.02), highest);
    noise = random.Uniform(0.9, 1.1);
  }
};

// One segment under way.
class Run {
 public:
  Run(const MotorOptions& options, const MotorSegment& segment, bool energised)
      : rating_{options.supply_v, options.supply_hz, options.pole_pairs, options.rated_kw},
        segment_(segment),
        point_(Operate(rating_, segment.speed_rpm, segment.load)),
        traits_(options.seed, options.sample_rate_hz),
        random_(options.seed * 0xD1342543DE82EF95u + segment.seed),
        rate_hz_(options.sample_rate_hz),
        dt_s_(1.0 / options.sample_rate_hz),
        ambient_c_(options.ambient_c),
        total_(static_cast<uint64_t>(std::llround(segment.duration_s * options.sample_rate_hz))),
        frame_(traits_.frame_hz, 0.035, rate_hz_),
        bearing_mode_(traits_.bearing_hz, 0.025, rate_hz_),
        panel_(std::min(620.0, 0.2 * rate_hz_), 0.05, rate_hz_) {
    severity_ = segment.severity_start;
    shaft_rad_ = random_.Uniform(0, kTwoPi);
    supply_rad_ = random_.Uniform(0, kTwoPi);
    cage_rad_ = random_.Uniform(0, kTwoPi);
    next_impact_rev_ = random_.Uniform();
    speed_rpm_ = energised ? point_.speed_rpm : 0;
    winding_c_ = ambient_c_ + segment.warm * WindingRise();
    bearing_c_ = ambient_c_ + segment.warm * BearingRise();
    // What rings in the housing has settled before the first sample.
    for (int i = 0; i < 200; ++i) Shake(energised);
  }

  bool ended() const { return played_ >= total_; }

  void Next(bool energised, std::array<double, kQuantities>* out) {
    severity_ = segment_.severity_start + (segment_.severity - segment_.severity_start) *
                                              static_cast<double>(played_) /
                                              static_cast<double>(total_);
    ++played_;
    Turn(energised);
    Currents(energised, out);
    Vibration(energised, out);
    Temperatures(energised, out);
    (*out)[kSpeedRpm] = speed_rpm_;
  }

 private:
  double Grown(MotorFault fault) const { return segment_.fault == fault ? severity_ : 0; }
  double RelativeSpeed() const { return speed_rpm_ / RatedSpeedRpm(rating_); }
  double WindingRise() const {
    return WindingRiseK(rating_, point_) * (1 + 1.5 * Grown(MotorFault::kWinding));
  }
  double BearingRise() const {
    const double worn =
        Grown(MotorFault::kInnerRace) + Grown(MotorFault::kOuterRace) + Grown(MotorFault::kBall);
    return BearingRiseK(rating_, point_, segment_.load) * (1 + worn);
  }

  void Turn(bool energised) {
    if (energised) {
      wander_ += dt_s_ * -wander_ / 0.5 + std::sqrt(dt_s_) * 0.0006 * random_.Gaussian();
      const double target = point_.speed_rpm * (1 + wander_);
      speed_rpm_ += (target - speed_rpm_) * std::min(1.0, dt_s_ / kRunUpS);
    } else {
      // Viscous and load torque brake in proportion, dry friction by a constant.
      const double brake =
          speed_rpm_ * (0.3 + segment_.load) / kCoastDownS + RatedSpeedRpm(rating_) / 20;
      speed_rpm_ = std::max(0.0, speed_rpm_ - brake * dt_s_);
    }
    shaft_hz_ = speed_rpm_ / 60;
    shaft_rad_ = std::fmod(shaft_rad_ + kTwoPi * shaft_hz_ * dt_s_, kTwoPi);
    cage_rad_ = std::fmod(cage_rad_ + kTwoPi * shaft_hz_ * bearing_.Cage() * dt_s_, kTwoPi);
    supply_rad_ = std::fmod(supply_rad_ + kTwoPi * point_.supply_hz * dt_s_, kTwoPi);
  }

  void Currents(bool energised, std::array<double, kQuantities>* out) {
    if (!energised) {
      current_share_ = 0;
      (*out)[kCurrentA] = (*out)[kCurrentB] = (*out)[kCurrentC] = 0;
      return;
    }
    // Until it is up to speed the machine draws several times its current.
    const double lacking = std::max(0.0, 1 - speed_rpm_ / point_.speed_rpm);
    const double peak_a =
        std::numbers::sqrt2 * point_.current_a * (1 + 5 * std::min(1.0, 2 * lacking));
    current_share_ = point_.current_a / RatedCurrentA(rating_);
    const double shorted = Grown(MotorFault::kWinding);
    // Air-gap eccentricity and torque ripple show as sidebands at the shaft's frequency.
    const double ripple =
        1 + 0.004 * traits_.imbalance *
                (1 + 4 * Grown(MotorFault::kImbalance) + 5 * Grown(MotorFault::kMisalignment)) *
                std::cos(shaft_rad_);
    for (int phase = 0; phase < 3; ++phase) {
      // Shorted turns: phase a draws more and lags less, b and c share the rest.
      const double share = phase == 0 ? 1 + 0.3 * shorted : 1 - 0.06 * shorted;
      const double shift = phase == 0 ? 0.12 * shorted : 0;
      const double angle = supply_rad_ - phase * kTwoPi / 3 - point_.phase_lag_rad + shift;
      const double wave = std::cos(angle) + 0.07 * shorted * std::cos(3 * angle) +
                          0.022 * std::cos(5 * angle) + 0.012 * std::cos(7 * angle);
      (*out)[static_cast<size_t>(kCurrentA + phase)] =
          peak_a * ripple * share * wave + 0.004 * RatedCurrentA(rating_) * random_.Gaussian();
    }
  }

  // Impacts of a spot on the bearing that fall into this sample.
  void Impacts() {
    const double inner = Grown(MotorFault::kInnerRace);
    const double outer = Grown(MotorFault::kOuterRace);
    const double ball = Grown(MotorFault::kBall);
    const double grown = inner + outer + ball;
    if (grown <= 0 || shaft_hz_ <= 0) return;
    const double order = inner > 0   ? bearing_.InnerRace()
                         : outer > 0 ? bearing_.OuterRace()
                                     : 2 * bearing_.BallSpin();
    const double step_rev = shaft_hz_ * dt_s_;
    next_impact_rev_ -= step_rev;
    while (next_impact_rev_ < 0) {
      const double age_s = std::min(-next_impact_rev_ / shaft_hz_, dt_s_);
      // A spot on the inner ring passes the load zone once a turn, one on a ball once a turn of
      // the cage; one on the outer ring stays in it.
      double zone = 1;
      if (inner > 0) zone = LoadZone(shaft_rad_);
      if (ball > 0) zone = 0.35 + 0.65 * LoadZone(cage_rad_);
      if (ball > 0 && strikes_inner_) zone *= 0.6;  // inner and outer ring in turn
      strikes_inner_ = !strikes_inner_;
      const double amplitude = kImpactG * grown * zone * RelativeSpeed() *
                               (0.6 + 0.4 * segment_.load) * (1 + 0.15 * random_.Gaussian());
      bearing_mode_.Strike(amplitude, age_s);
      frame_.Strike(0.35 * amplitude, age_s);
      next_impact_rev_ += (1 + kImpactJitter * random_.Gaussian()) / order;
    }
  }

  // Share of the load that the bearing carries at an angle from its heaviest point (Stribeck).
  static double LoadZone(double angle_rad) {
    const double share = std::max(0.0, 1 - (1 - std::cos(angle_rad)) / 1.1);
    return share * std::sqrt(share);
  }

  // Structure: rolling noise and impacts through two modes.
  void Shake(bool energised) {
    const double rolling = kRollingNoiseG * traits_.noise * std::pow(RelativeSpeed(), 1.5) *
                           (energised ? 0.7 + 0.3 * segment_.load : 0.7);
    frame_.Drive(rolling * random_.Gaussian() / frame_.NoiseGain());
    bearing_mode_.Drive(rolling * random_.Gaussian() / bearing_mode_.NoiseGain());
    Impacts();
    frame_g_ = frame_.Next();
    bearing_g_ = bearing_mode_.Next();
  }

  void Vibration(bool energised, std::array<double, kQuantities>* out) {
    Shake(energised);
    const double rated_rad_s = kTwoPi * RatedSpeedRpm(rating_) / 60;
    // Centrifugal force: eccentricity times the square of the speed.
    const double per_grade = kHousingShare * kBalanceGradeMS * rated_rad_s / kGravity *
                             RelativeSpeed() * RelativeSpeed();
    const double imbalance =
        per_grade * traits_.imbalance * (1 + 7 * Grown(MotorFault::kImbalance));
    const double skewed = Grown(MotorFault::kMisalignment);
    const double torque = 0.6 + 0.4 * segment_.load;
    const double twice = per_grade * (traits_.misalignment + 3.5 * skewed) * torque;
    const double axial = per_grade * (0.15 + 2.8 * skewed) * torque;
    const double a = shaft_rad_ + traits_.imbalance_phase;
    // The air gap pulls twice a period of the supply, unevenly when turns are shorted.
    const double magnetic = 0.006 * current_share_ * current_share_ *
                            (1 + 9 * Grown(MotorFault::kWinding)) * std::cos(2 * supply_rad_);
    const double second = std::cos(2 * a + 0.7), third = std::cos(3 * a + 1.9);
    (*out)[kVibX] = imbalance * std::cos(a) + twice * second + 0.25 * twice * third + magnetic +
                    0.55 * frame_g_ + 0.9 * bearing_g_ + kSensorNoiseG * random_.Gaussian();
    (*out)[kVibY] = 0.8 * imbalance * std::sin(a) + 0.7 * twice * std::sin(2 * a + 0.7) +
                    0.6 * magnetic + 0.8 * frame_g_ + 0.6 * bearing_g_ +
                    kSensorNoiseG * random_.Gaussian();
    (*out)[kVibZ] = axial * std::cos(a + 0.4) + 0.9 * axial * second + 0.3 * frame_g_ +
                    0.35 * bearing_g_ + kSensorNoiseG * random_.Gaussian();
    // Sound: what the panels radiate, the fan's blades and its rush.
    panel_.Drive(0.02 * (*out)[kVibX]);
    const double flow = RelativeSpeed() * RelativeSpeed();
    (*out)[kSound] = 1.2 * panel_.Next() + 0.12 * (frame_g_ + bearing_g_) +
                     0.03 * flow * std::cos(kFanBlades * shaft_rad_) +
                     0.006 * flow * random_.Gaussian() + 0.001 * random_.Gaussian();
  }

  void Temperatures(bool energised, std::array<double, kQuantities>* out) {
    const double factor = energised ? 1 : kStandstillTimeFactor;
    const double winding_target = ambient_c_ + (energised ? WindingRise() : 0);
    const double bearing_target = ambient_c_ + (energised ? BearingRise() : 0);
    winding_c_ += (winding_target - winding_c_) * dt_s_ / (kWindingTimeConstantS * factor);
    bearing_c_ += (bearing_target - bearing_c_) * dt_s_ / (kBearingTimeConstantS * factor);
    (*out)[kWindingC] = winding_c_ + 0.05 * random_.Gaussian();
    (*out)[kBearingC] = bearing_c_ + 0.05 * random_.Gaussian();
  }

  const MotorRating rating_;
  const MotorSegment segment_;
  const OperatingPoint point_;
  const Traits traits_;
  const Bearing bearing_;
  Random random_;
  const double rate_hz_, dt_s_, ambient_c_;
  const uint64_t total_;
  uint64_t played_ = 0;
  Mode frame_, bearing_mode_, panel_;
  double severity_ = 0;
  double speed_rpm_ = 0, shaft_hz_ = 0, wander_ = 0;
  double shaft_rad_ = 0, supply_rad_ = 0, cage_rad_ = 0;
  double next_impact_rev_ = 0;
  bool strikes_inner_ = false;
  double current_share_ = 0;
  double frame_g_ = 0, bearing_g_ = 0;
  double winding_c_ = 0, bearing_c_ = 0;
};

class MotorSource final : public Source {
 public:
  MotorSource(MotorOptions options, std::vector<size_t> quantities, Format format)
      : options_(std::move(options)),
        quantities_(std::move(quantities)),
        format_(std::move(format)) {}

  Format format() const override { return format_; }

  Status Begin(const Segment& segment) override {
    run_.reset();
    const auto* motor = std::get_if<MotorSegment>(&segment.content);
    if (motor == nullptr) {
      return Fail(ErrorCode::kInvalidArgument,
                  "segment '" + segment.id + "': a motor source plays no \"file\"");
    }
    if (motor->duration_s * options_.sample_rate_hz < 1) {
      return Fail(ErrorCode::kInvalidArgument,
                  "segment '" + segment.id + "': shorter than one sample");
    }
    run_ = std::make_unique<Run>(options_, *motor, energised_);
    return {};
  }

  Expected<size_t> Read(std::span<float> frames) override {
    const size_t channels = quantities_.size();
    std::array<double, kQuantities> values;
    size_t filled = 0;
    for (; run_ && !run_->ended() && (filled + 1) * channels <= frames.size(); ++filled) {
      run_->Next(energised_, &values);
      for (size_t i = 0; i < channels; ++i) {
        frames[filled * channels + i] = static_cast<float>(values[quantities_[i]]);
      }
    }
    return filled;
  }

  void SetEnergised(bool energised) override { energised_ = energised; }

 private:
  const MotorOptions options_;
  const std::vector<size_t> quantities_;  // one a channel
  const Format format_;
  bool energised_ = true;
  std::unique_ptr<Run> run_;
};

std::unexpected<Error> Bad(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, "motor: " + message);
}

}  // namespace

Expected<std::unique_ptr<Source>> CreateMotorSource(const MotorOptions& options) {
  if (options.sample_rate_hz < 1000 || options.sample_rate_hz > kMaxSampleRateHz) {
    return Bad("sample_rate_hz must be in 1000.." + std::to_string(kMaxSampleRateHz));
  }
  if (options.channels.empty() || options.channels.size() > kMaxChannels) {
    return Bad("needs 1.." + std::to_string(kMaxChannels) + " channels");
  }
  if (options.pole_pairs < 1 || options.pole_pairs > 12) return Bad("pole_pairs must be in 1..12");
  if (!(options.supply_v >= 50 && options.supply_v <= 1000)) {
    return Bad("supply_v must be in 50..1000");
  }
  if (!(options.supply_hz >= 10 && options.supply_hz <= 400)) {
    return Bad("supply_hz must be in 10..400");
  }
  if (!(options.rated_kw >= 0.05 && options.rated_kw <= 1000)) {
    return Bad("rated_kw must be in 0.05..1000");
  }
  if (!(options.ambient_c >= -40 && options.ambient_c <= 60)) {
    return Bad("ambient_c must be in -40..60");
  }
  std::vector<size_t> quantities;
  Format format{options.sample_rate_hz, static_cast<uint8_t>(options.channels.size()), {}, {}};
  for (const std::string& channel : options.channels) {
    size_t quantity = 0;
    while (quantity < kQuantities && kSensed[quantity].name != channel) ++quantity;
    if (quantity == kQuantities) {
      std::string known;
      for (const Sensed& sensed : kSensed) known += " " + std::string(sensed.name);
      return Bad("no channel '" + channel + "'; it can sense" + known);
    }
    if (std::find(quantities.begin(), quantities.end(), quantity) != quantities.end()) {
      return Bad("channel '" + channel + "' is given twice");
    }
    quantities.push_back(quantity);
    format.channel_names.push_back(channel);
    format.units.emplace_back(kSensed[quantity].unit);
  }
  return std::make_unique<MotorSource>(options, std::move(quantities), std::move(format));
}

}  // namespace edgeloop::sensors
