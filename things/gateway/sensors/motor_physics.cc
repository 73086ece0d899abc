#include "things/gateway/sensors/motor_physics.h"

#include <algorithm>
#include <cmath>

namespace edgeloop::sensors {
namespace {

constexpr double kBreakdownTorque = 2.5;   // of the rated torque
constexpr double kEfficiency = 0.82;       // at the rated point
constexpr double kPowerFactor = 0.80;      // at the rated point
constexpr double kMagnetising = 0.5;       // of the rated current
constexpr double kNoLoadActive = 0.06;     // iron and friction losses, of the rated current
constexpr double kRatedWindingRiseK = 75;  // within class F
constexpr double kRatedBearingRiseK = 30;

}  // namespace

double RatedSlip(const MotorRating& rating) {
  return std::clamp(0.06 * std::pow(rating.rated_kw, -0.25), 0.008, 0.09);
}

double SlipAtLoad(const MotorRating& rating, double load) {
  if (load <= 0) return 0;
  const double breakdown_slip =
      RatedSlip(rating) * (kBreakdownTorque + std::sqrt(kBreakdownTorque * kBreakdownTorque - 1));
  const double m = std::min(load / kBreakdownTorque, 1.0);
  return breakdown_slip * (1 - std::sqrt(1 - m * m)) / m;
}

double RatedCurrentA(const MotorRating& rating) {
  return rating.rated_kw * 1000 / (std::sqrt(3.0) * rating.supply_v * kEfficiency * kPowerFactor);
}

double RatedSpeedRpm(const MotorRating& rating) {
  return 60 * rating.supply_hz / rating.pole_pairs * (1 - RatedSlip(rating));
}

OperatingPoint Operate(const MotorRating& rating, double speed_rpm, double load) {
  OperatingPoint point;
  const double slip_hz = SlipAtLoad(rating, load) * rating.supply_hz;
  point.supply_hz = speed_rpm > 0 ? speed_rpm * rating.pole_pairs / 60 + slip_hz : rating.supply_hz;
  point.slip = slip_hz / point.supply_hz;
  point.speed_rpm = 60 * point.supply_hz / rating.pole_pairs * (1 - point.slip);
  const double rated = RatedCurrentA(rating);
  // Above its rated frequency the voltage cannot follow: the flux weakens.
  const double flux = std::min(1.0, rating.supply_hz / point.supply_hz);
  const double magnetising = kMagnetising * rated * flux;
  const double active_at_rated = std::sqrt(1 - kMagnetising * kMagnetising) * rated;
  const double active =
      (kNoLoadActive * rated + load * (active_at_rated - kNoLoadActive * rated)) / flux;
  point.current_a = std::hypot(magnetising, active);
  point.phase_lag_rad = std::atan2(magnetising, active);
  return point;
}

double Bearing::Cage() const {
  return 0.5 * (1 - ball_mm / pitch_mm * std::cos(contact_angle_rad));
}
double Bearing::OuterRace() const { return balls * Cage(); }
double Bearing::InnerRace() const { return balls * (1 - Cage()); }
double Bearing::BallSpin() const {
  const double ratio = ball_mm / pitch_mm * std::cos(contact_angle_rad);
  return pitch_mm / (2 * ball_mm) * (1 - ratio * ratio);
}

double WindingRiseK(const MotorRating& rating, const OperatingPoint& point) {
  const double relative = point.current_a / RatedCurrentA(rating);
  // The fan is on the shaft: a slow motor is cooled less.
  const double cooling = std::pow(std::max(0.1, point.speed_rpm / RatedSpeedRpm(rating)), 0.4);
  return kRatedWindingRiseK * relative * relative / cooling;
}

double BearingRiseK(const MotorRating& rating, const OperatingPoint& point, double load) {
  return kRatedBearingRiseK * point.speed_rpm / RatedSpeedRpm(rating) * (0.5 + 0.5 * load);
}

}  // namespace edgeloop::sensors
