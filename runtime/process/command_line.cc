#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "runtime/process/daemon.h"

namespace edgeloop::process {

Invocation ParseCommandLine(int argc, char** argv, std::string_view name, std::string_view about) {
  CLI::App app{std::string(about), std::string(name)};
  Invocation invocation;
  app.add_option("--config", invocation.config_path, "configuration file (YAML)")
      ->required()
      ->type_name("FILE");
  app.add_flag("--check", invocation.check_only, "verify the configuration and leave");
  app.set_version_flag("--version", std::string(name) + " " + EDGELOOP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version arrive here too, with exit code 0.
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return invocation;
}

int ReportFailure(std::string_view name, const Error& error) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(name.size()), name.data(),
               error.message().c_str());
  return error.code() == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace edgeloop::process
