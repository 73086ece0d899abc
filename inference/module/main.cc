#include <thread>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/module/level2.h"
#include "inference/module/serve.h"
#include "runtime/config/config.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

constexpr std::string_view kName = "edgeloop-module";
constexpr std::string_view kAbout = R"(Level-2 inference over what devices have reported.

Talks to its sidecar over a unix socket and to nothing else: it needs no network, no certificates
and no disk. Other modules may take its place; see inference/README.md for the protocol.

Example configuration:

  socket: /run/edgeloop/module.sock   # where the sidecar listens
  log: {level: info, format: text}
)";

struct Options {
  edgeloop::process::CommonOptions common;
  std::string socket;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace edgeloop;
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  auto options =
      config::LoadFile<Options>(invocation.config_path, [](config::Reader& reader, Options& out) {
        process::ReadCommon(reader, &out.common);
        reader.Required("socket", &out.socket);
      });
  if (!options) return process::ReportFailure(kName, options.error());
  if (invocation.check_only) return 0;
  process::BlockStopSignals();
  process::InitLog(kName, options->common);

  frame::Interrupt interrupt;
  std::thread worker([&] {
    std::string last;  // an absent sidecar is told once, not at each attempt
    module::Serve(options->socket, module::Infer, interrupt, [&](const Error& error) {
      if (error.message() != last) log::Info("no sidecar", {{"reason", error.message()}});
      last = error.message();
    });
  });
  log::Info("module ready", {{"socket", options->socket}});
  process::WaitForStop();
  interrupt.Set();
  worker.join();
  return 0;
}
