// The steady laws of an induction motor and of a rolling bearing that the simulator rests on.
#pragma once

namespace edgeloop::sensors {

struct MotorRating {
  double supply_v = 400;  // line to line
  double supply_hz = 50;
  int pole_pairs = 2;
  double rated_kw = 1.5;
};

// Rated slip falls with size: about 5.5 % at 1.5 kW, 2 % at 75 kW.
double RatedSlip(const MotorRating& rating);

// Slip at `load` (of the rated torque) on Kloss' curve T/Tk = 2 / (s/sk + sk/s) with a breakdown
// torque of 2.5 times the rated one.
double SlipAtLoad(const MotorRating& rating, double load);

double RatedCurrentA(const MotorRating& rating);  // rms of a phase
double RatedSpeedRpm(const MotorRating& rating);

struct OperatingPoint {
  double supply_hz = 0;      // what feeds the stator: the mains or the drive
  double slip = 0;           // of that frequency
  double speed_rpm = 0;      // of the shaft
  double current_a = 0;      // rms of a phase
  double phase_lag_rad = 0;  // of the current behind its voltage
};
// speed_rpm 0: straight from the mains. Otherwise a drive with constant volts per hertz holds the
// speed: the slip frequency that the torque needs stays, the supply frequency follows.
OperatingPoint Operate(const MotorRating& rating, double speed_rpm, double load);

// Geometry of a deep-groove bearing; the default is a 6205.
struct Bearing {
  int balls = 9;
  double ball_mm = 7.94;
  double pitch_mm = 39.04;
  double contact_angle_rad = 0;

  // Multiples of the shaft's speed; outer ring at rest.
  double Cage() const;       // FTF
  double OuterRace() const;  // BPFO
  double InnerRace() const;  // BPFI
  double BallSpin() const;   // BSF; a spot on a ball strikes twice a turn
};

// Settled rise above ambient, and time constants, of a totally enclosed fan-cooled motor.
inline constexpr double kWindingTimeConstantS = 900;
inline constexpr double kBearingTimeConstantS = 1800;
// Without its fan the machine sheds heat half as fast.
inline constexpr double kStandstillTimeFactor = 2;
double WindingRiseK(const MotorRating& rating, const OperatingPoint& point);
double BearingRiseK(const MotorRating& rating, const OperatingPoint& point, double load);

}  // namespace edgeloop::sensors
