#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands/commands.h"
#include "cli/commands/table.h"
#include "cli/site/access.h"
#include "cli/site/status_file.h"
#include "runtime/process/child.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;

constexpr double kMib = 1 << 20;

struct StatusOptions {
  Common common;
  double interval_s = 1.0;
  bool watch = false;
};

double Seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

// The state of each process, its memory, and the CPU it took over `interval_s`.
Expected<json> Measure(const std::string& state_dir, double interval_s) {
  const site::Layout layout(state_dir);
  auto file = site::ReadStatusFile(layout);
  if (!file) return Fail(file.error());
  auto access = site::OpenAccess(state_dir);
  if (!access) return Fail(access.error());
  file->processes.insert(file->processes.begin(), {.name = "supervisor",
                                                   .pid = file->up_pid,
                                                   .state = "running",
                                                   .restarts = 0,
                                                   .started_at_ms = file->started_at_ms,
                                                   .detail = ""});

  std::vector<Expected<process::Usage>> before;
  const auto start = std::chrono::steady_clock::now();
  for (const auto& process : file->processes) before.push_back(process::UsageOf(process.pid));
  std::this_thread::sleep_for(std::chrono::duration<double>(interval_s));  // the sampling interval
  const double now_ms = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                std::chrono::system_clock::now().time_since_epoch())
                                                .count());

  json processes = json::array();
  double total_mib = 0, total_cpu = 0;
  for (size_t i = 0; i < file->processes.size(); ++i) {
    const auto& process = file->processes[i];
    const auto after = process::UsageOf(process.pid);
    const double took = Seconds(std::chrono::steady_clock::now() - start);
    json entry = {{"name", process.name},
                  {"pid", process.pid},
                  {"state", process.state},
                  {"restarts", process.restarts},
                  {"detail", process.detail}};
    entry["uptime_s"] = process.pid > 0 ? (now_ms - process.started_at_ms) / 1000 : 0;
    double mib = 0, cpu = 0;
    if (process.pid > 0 && after) {
      mib = static_cast<double>(after->resident_bytes) / kMib;
      if (before[i]) cpu = 100 * (after->cpu_seconds - before[i]->cpu_seconds) / took;
    }
    entry["rss_mib"] = mib;
    entry["cpu_percent"] = cpu;
    total_mib += mib;
    total_cpu += cpu;
    processes.push_back(std::move(entry));
  }
  // Probed after the measurement, which it would disturb.
  bool all_ready = true;
  for (json& entry : processes) {
    const std::string name = entry["name"];
    const Status ready = name == "supervisor" ? Status() : access->Ready(name);
    entry["ready"] = ready.has_value();
    if (!ready && entry["detail"] == "") entry["detail"] = ready.error().message();
    all_ready = all_ready && ready.has_value();
  }
  return json{{"state_dir", state_dir},
              {"ready", all_ready},
              {"processes", processes},
              {"total", {{"rss_mib", total_mib}, {"cpu_percent", total_cpu}}}};
}

std::string Text(const json& status) {
  std::vector<std::vector<std::string>> rows;
  for (const json& p : status["processes"]) {
    const int pid = p["pid"];
    rows.push_back({p["name"], pid > 0 ? std::to_string(pid) : "-", p["state"],
                    p["ready"].get<bool>() ? "yes" : "no", std::to_string(p["restarts"].get<int>()),
                    Duration(p["uptime_s"]), Fixed(p["rss_mib"], 1), Fixed(p["cpu_percent"], 1),
                    p["detail"]});
  }
  rows.push_back({"total", "", "", status["ready"].get<bool>() ? "yes" : "no", "", "",
                  Fixed(status["total"]["rss_mib"], 1), Fixed(status["total"]["cpu_percent"], 1),
                  ""});
  return Table({{"PROCESS"},
                {"PID", true},
                {"STATE"},
                {"READY"},
                {"RESTARTS", true},
                {"UPTIME", true},
                {"RSS MiB", true},
                {"CPU %", true},
                {"DETAIL"}},
               rows);
}

int Run(const StatusOptions& options) {
  do {
    auto status = Measure(options.common.state_dir, options.interval_s);
    if (!status) return Report(status.error(), options.common.json);
    if (options.watch && !options.common.json) std::fputs("\x1b[H\x1b[2J", stdout);
    const std::string text = options.common.json ? status->dump(options.watch ? -1 : 2, ' ', false,
                                                                json::error_handler_t::replace) +
                                                       "\n"
                                                 : Text(*status);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    if (!options.watch) return (*status)["ready"].get<bool>() ? 0 : 1;
  } while (true);
}

}  // namespace

void AddStatus(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("status", "Processes: state, memory, CPU");
  auto options = std::make_shared<StatusOptions>();
  AddCommon(*command, &options->common);
  command->add_option("--interval", options->interval_s, "Seconds over which CPU is measured")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_flag("--watch,-w", options->watch, "Repeat until Ctrl-C");
  command->footer(
      "Exits with 1 when a process is not ready.\n"
      "Examples:\n"
      "  edgeloop status\n"
      "  edgeloop status --json | jq .total.rss_mib\n"
      "  edgeloop status --watch --interval 5");
  command->callback([options, action] { *action = [options] { return Run(*options); }; });
}

}  // namespace edgeloop::commands
