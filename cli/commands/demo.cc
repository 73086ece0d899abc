#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/demo/run.h"
#include "things/gateway/sensors/plan.h"

namespace edgeloop::commands {
namespace {

struct DemoOptions {
  demo::RunOptions run;
  std::string baseline;
  std::vector<std::string> changes;
};

int RunDemo(DemoOptions options) {
  demo::ScenarioOptions& scenario = options.run.scenario;
  if (!options.baseline.empty()) {
    auto baseline = sensors::ParseConditions(options.baseline);
    if (!baseline) return Report(baseline.error());
    scenario.baseline = *baseline;
  }
  for (const std::string& text : options.changes) {
    auto change = sensors::ParseConditions(text);
    if (!change) return Report(change.error());
    scenario.changes.push_back(*change);
  }
  if (!scenario.data_dir.empty()) {
    std::error_code error;
    scenario.data_dir = std::filesystem::absolute(scenario.data_dir, error).lexically_normal();
  }
  options.run.terminal = isatty(STDOUT_FILENO) == 1;
  return demo::Run(options.run);
}

}  // namespace

void AddDemo(CLI::App& app, Action* action) {
  auto* command =
      app.add_subcommand("demo", "The whole loop on this machine, from sensor to retrained model");
  auto options = std::make_shared<DemoOptions>();
  auto& run = options->run;
  command
      ->add_option("--data", run.scenario.data_dir,
                   "Recordings to replay, a folder with an index.csv (see `edgeloop data "
                   "inspect`); without it motors are simulated")
      ->type_name("DIR");
  command->add_option("--json", run.json_path, "Write the figures of the run here")
      ->type_name("FILE");
  command->add_option("--seed", run.scenario.seed, "The same seed gives the same models")
      ->capture_default_str();
  command->add_option("--devices", run.scenario.devices, "Machines, two a gateway")
      ->check(CLI::Range(2, 16))
      ->capture_default_str();
  command->add_flag("--keep", run.keep, "Keep the state directory");
  command
      ->add_option("--baseline", options->baseline,
                   "Conditions of the first training, for example speed_rpm=1800,extra_load_lb=0")
      ->type_name("KEY=VALUE,..");
  command
      ->add_option("--change", options->changes,
                   "A later change of conditions, for example speed_rpm=2400; give it for each")
      ->type_name("KEY=VALUE,..")
      ->allow_extra_args(false);
  command->footer(
      "Starts all tiers in a temporary directory, with mutual TLS; trains level-1 models from the\n"
      "stream and delivers them; shows a fault, drift and retraining, twice; then bad models that\n"
      "devices refuse or revert. Exits with 0 only when all of it was seen.\n"
      "Examples:\n"
      "  edgeloop demo\n"
      "  edgeloop demo --data ../shared/data/adi_cbm_motor --json figures.json\n"
      "  edgeloop demo --data DIR --baseline speed_rpm=1800,extra_load_lb=0 \\\n"
      "                --change speed_rpm=2400 --change extra_load_lb=11");
  command->callback([options, action] { *action = [options] { return RunDemo(*options); }; });
}

}  // namespace edgeloop::commands
