// The subcommands of `edgeloop`: each adds itself to the command line and, when it is the chosen
// one, sets what to run.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace CLI {
class App;
}

namespace edgeloop::commands {

// 0 done, 1 failed, 2 wrong use or configuration.
using Action = std::function<int()>;

void AddUp(CLI::App& app, Action* action);
void AddDown(CLI::App& app, Action* action);
void AddStatus(CLI::App& app, Action* action);
void AddInit(CLI::App& app, Action* action);
void AddDevices(CLI::App& app, Action* action);
void AddModels(CLI::App& app, Action* action);
void AddStreams(CLI::App& app, Action* action);
void AddAlerts(CLI::App& app, Action* action);
void AddPipelines(CLI::App& app, Action* action);
void AddData(CLI::App& app, Action* action);
void AddDemo(CLI::App& app, Action* action);
void AddCompletion(CLI::App& app, Action* action);

// What most commands share.
struct Common {
  std::string state_dir;
  bool json = false;
};
void AddCommon(CLI::App& command, Common* common);

// Prints the error and gives the exit code: 2 for kInvalidArgument, else 1.
int Report(const Error& error, bool json = false);

}  // namespace edgeloop::commands
