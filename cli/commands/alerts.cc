#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/stream_reader.h"
#include "cli/commands/table.h"
#include "cli/site/access.h"
#include "contracts/topics/topics.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;

void Print(const json& alert) {
  std::printf(
      "%s  %-8s %s  %s%s  (data %s old)\n", alert["at"].get<std::string>().c_str(),
      alert["cleared"].get<bool>() ? "cleared" : alert["severity"].get<std::string>().c_str(),
      alert["device"].get<std::string>().c_str(), alert["rule"].get<std::string>().c_str(),
      alert["text"] == "" ? "" : (": " + alert["text"].get<std::string>()).c_str(),
      Duration(alert["data_age_ms"].get<double>() / 1000).c_str());
}

int Run(const Common& common, const Tail& tail) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  size_t shown = 0;
  const Status done = ReadTail(*access, tail, [&](const json& message) {
    if (!message.contains("value") || message["value"].is_null()) return;
    if (common.json) {
      std::puts(message["value"].dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    } else {
      Print(message["value"]);
    }
    std::fflush(stdout);
    ++shown;
  });
  if (!done) return Report(done.error(), common.json);
  if (shown == 0 && !common.json) std::puts("no alerts");
  return 0;
}

}  // namespace

void AddAlerts(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("alerts", "Alerts raised from level 1, level 2 and context");
  auto common = std::make_shared<Common>();
  auto tail = std::make_shared<Tail>();
  tail->topic = topics::kAlerts;
  tail->last = 20;
  command->add_option("-n,--last", tail->last, "How many")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  command->add_flag("--follow,-f", tail->follow, "Wait for more until Ctrl-C");
  AddCommon(*command, common.get());
  command->footer(
      "With --json one object a line.\n"
      "Example:\n  edgeloop alerts --follow");
  command->callback(
      [common, tail, action] { *action = [common, tail] { return Run(*common, *tail); }; });
}

}  // namespace edgeloop::commands
