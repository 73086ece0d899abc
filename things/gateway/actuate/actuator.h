// What a trip moves: the contactor of a machine.
#pragma once

#include <memory>
#include <string>

#include "contracts/error/error.h"

namespace edgeloop::gateway {

// Not thread-safe: the device's loop owns it.
class Actuator {
 public:
  virtual ~Actuator() = default;
  // Opens (true: the machine is cut off) or closes the contactor; returns when it has moved, as far
  // as the hardware lets us know. Setting the state it has already is no error.
  virtual Status SetOpen(bool open) = 0;
};

struct ActuatorOptions {
  // "simulated": a variable. "file": `path` is replaced with "1 <Unix ns>\n" when open and
  // "0 <Unix ns>\n" when closed. "gpio": `path` is an exported line of Linux's sysfs GPIO, e.g.
  // /sys/class/gpio/gpio17, driving the coil of a normally open contactor: value 1 energises it
  // (closed), 0 and loss of power open it.
  std::string type = "simulated";
  std::string path;
};
Expected<std::unique_ptr<Actuator>> CreateActuator(const ActuatorOptions& options);

}  // namespace edgeloop::gateway
