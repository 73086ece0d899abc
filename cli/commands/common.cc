#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/site/layout.h"

namespace edgeloop::commands {

void AddCommon(CLI::App& command, Common* common) {
  common->state_dir = site::DefaultStateDir();
  command
      .add_option("--state", common->state_dir,
                  "State directory of the platform; $EDGELOOP_STATE sets the default")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_flag("--json", common->json, "Print JSON");
}

int Report(const Error& error, bool json) {
  if (json) {
    const nlohmann::json out = {
        {"error", {{"code", ErrorCodeName(error.code())}, {"message", error.message()}}}};
    std::puts(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  std::fprintf(stderr, "edgeloop: %s\n", error.message().c_str());
  return error.code() == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace edgeloop::commands
