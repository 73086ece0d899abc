#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/site/options.h"
#include "runtime/process/daemon.h"

namespace edgeloop::commands {

void AddInit(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("init", "Write a commented edgeloop.yaml to start from");
  auto path = std::make_shared<std::string>("edgeloop.yaml");
  command->add_option("file", *path, "Where to")->type_name("FILE")->capture_default_str();
  command->footer("Example:\n  edgeloop init && $EDITOR edgeloop.yaml && edgeloop up");
  command->callback([path, action] {
    *action = [path] {
      if (std::filesystem::exists(*path)) {
        return Report(Error(ErrorCode::kInvalidArgument,
                            *path + " exists: name another file, or remove it first"));
      }
      if (Status s = process::WriteFileAtomically(*path, site::SampleConfig()); !s) {
        return Report(s.error());
      }
      std::printf("wrote %s\n", path->c_str());
      return 0;
    };
  });
}

}  // namespace edgeloop::commands
