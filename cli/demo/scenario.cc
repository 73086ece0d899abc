#include "cli/demo/scenario.h"

namespace edgeloop::demo {

Expected<std::unique_ptr<Scenario>> CreateScenario(const ScenarioOptions& options) {
  return options.data_dir.empty() ? CreateMotorScenario(options) : CreateReplayScenario(options);
}

uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

}  // namespace edgeloop::demo
