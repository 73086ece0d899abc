// The seam between the gateway and what it senses: blocks of samples in physical units. A source
// knows no clock; whoever reads it sets the pace.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "things/gateway/sensors/segment.h"

namespace edgeloop::sensors {

inline constexpr uint8_t kMaxChannels = 8;  // as in the model format
inline constexpr uint32_t kMinSampleRateHz = 1;
inline constexpr uint32_t kMaxSampleRateHz = 200'000;

struct Format {
  uint32_t sample_rate_hz = 0;
  uint8_t channels = 0;
  std::vector<std::string> channel_names;  // one a channel, unique
  std::vector<std::string> units;          // one a channel; empty where none is known

  friend bool operator==(const Format&, const Format&) = default;
};

// Not thread-safe: one owner.
class Source {
 public:
  virtual ~Source() = default;
  // Fixed for the life of the source.
  virtual Format format() const = 0;
  // Checks the segment and starts it from fresh state. On an error the source is left as if no
  // segment had begun: Read() gives 0.
  virtual Status Begin(const Segment& segment) = 0;
  // Fills whole frames (interleaved, physical units) and returns how many; 0 when the segment has
  // ended or none has begun. Fewer than fit only at the end of the segment.
  virtual Expected<size_t> Read(std::span<float> frames) = 0;
  // Contactor closed (true, as at creation) or open. Kept over Begin(). A recording cannot react
  // and plays on.
  virtual void SetEnergised(bool energised) = 0;
};

// Plays a folder of recordings with an index.csv (see recordings.h).
struct ReplayOptions {
  std::string dir;
  // A source has one format. 0: that of the most recordings (ties: the first of the index).
  uint32_t sample_rate_hz = 0;
  uint8_t channels = 0;
};
Expected<std::unique_ptr<Source>> CreateReplaySource(const ReplayOptions& options);

// An induction motor from its physics (see README.md). Names of channels it can sense:
//   vib_x (radial, horizontal), vib_y (radial, vertical), vib_z (axial)  [g]
//   current_a, current_b, current_c [A]; sound [Pa]; winding_c, bearing_c [degC]; speed_rpm [rpm]
struct MotorOptions {
  uint32_t sample_rate_hz = 8000;
  std::vector<std::string> channels = {"vib_x", "vib_y", "vib_z", "current_a"};
  uint64_t seed = 1;  // of this machine: its residual imbalance, noise; mixed with the segment's
  double supply_v = 400;  // line to line
  double supply_hz = 50;
  int pole_pairs = 2;
  double rated_kw = 1.5;
  double ambient_c = 25;
};
Expected<std::unique_ptr<Source>> CreateMotorSource(const MotorOptions& options);

}  // namespace edgeloop::sensors
