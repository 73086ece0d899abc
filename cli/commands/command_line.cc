#include "cli/commands/command_line.h"

#include <CLI/CLI.hpp>
#include <exception>

#include "cli/commands/commands.h"
#include "runtime/log/log.h"

namespace edgeloop::commands {

int RunCommandLine(int argc, const char* const* argv) {
  CLI::App app("Edgeloop: sense, infer, act, stream, learn, redeploy, on your own hardware.",
               "edgeloop");
  app.set_version_flag("--version", EDGELOOP_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Start here:\n"
      "  edgeloop demo            # the whole loop in a few minutes, on simulated motors\n"
      "  edgeloop up --detach     # everything on this machine; then edgeloop status\n"
      "Each command explains itself with --help.");
  // What goes wrong is told by the commands themselves; libraries only add their worst.
  log::Init("edgeloop", log::Level::kError, log::Format::kText);
  Action action;
  AddDemo(app, &action);
  AddUp(app, &action);
  AddDown(app, &action);
  AddStatus(app, &action);
  AddInit(app, &action);
  AddDevices(app, &action);
  AddModels(app, &action);
  AddStreams(app, &action);
  AddAlerts(app, &action);
  AddPipelines(app, &action);
  AddData(app, &action);
  AddCompletion(app, &action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;  // --help and --version end here too
  }
  try {
    return action();
  } catch (const std::exception& e) {
    return Report(Error(ErrorCode::kInternal, e.what()));
  }
}

}  // namespace edgeloop::commands
