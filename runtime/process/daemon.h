// What every daemon's main() does: flags, configuration, logging, health endpoints, SIGTERM.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/config/config.h"
#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"
#include "runtime/tls/tls.h"

namespace edgeloop::process {

// The keys every daemon's configuration has: tls, health, log, port_file.
struct CommonOptions {
  tls::Files tls;
  std::string health_host = "127.0.0.1";
  int health_port = 0;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string port_file;  // {"listen": n, "health": n}, written when ready
};
void ReadCommon(config::Reader& reader, CommonOptions* options);
// log::Init as the configuration says.
void InitLog(std::string_view name, const CommonOptions& options);

// Blocks SIGTERM and SIGINT in the whole process and ignores SIGPIPE; call first, before any thread
// starts.
void BlockStopSignals();
// Blocks until SIGTERM, SIGINT or RequestStop().
void WaitForStop();
void RequestStop();

// Writes a file whole or not at all: temporary file, fsync, rename, fsync of the directory.
Status WriteFileAtomically(const std::string& path, std::string_view content, int mode = 0644);
Expected<std::string> ReadWholeFile(const std::string& path, size_t max_bytes);

// Parses `--config FILE`, `--check` (verify the configuration and leave), `--version`, `--help`.
// `about` is the text of --help: what the daemon does and an example configuration.
struct Invocation {
  std::string config_path;
  bool check_only = false;
};
// Prints and exits the process for --help, --version and bad flags.
Invocation ParseCommandLine(int argc, char** argv, std::string_view name, std::string_view about);

// Prints "name: error" to standard error and gives the exit code: 2 for a bad configuration or
// flag, 1 for everything else.
int ReportFailure(std::string_view name, const Error& error);

// The health listener of one daemon.
Expected<std::unique_ptr<http::Server>> StartHealth(
    const CommonOptions& options, const metrics::Registry& registry, std::function<Status()> ready,
    const std::function<void(http::Server&)>& add_routes = nullptr);

// Writes options.port_file when it is set.
Status AnnouncePorts(const CommonOptions& options, int listen_port, int health_port);

}  // namespace edgeloop::process
