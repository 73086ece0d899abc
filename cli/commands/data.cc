#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/table.h"
#include "cli/recordings/inspect.h"
#include "things/gateway/sensors/plan.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;

struct DataOptions {
  recordings::InspectOptions inspect;
  std::string baseline;
  std::vector<std::string> changes;
  bool json = false;
};

std::string ConditionsText(const json& conditions) {
  std::string text;
  for (const auto& [name, value] : conditions.items()) {
    char number[32];
    std::snprintf(number, sizeof number, "%.10g", value.get<double>());
    text += (text.empty() ? "" : ", ") + name + "=" + number;
  }
  return text;
}

void Print(const json& data) {
  std::vector<std::vector<std::string>> rows;
  for (const json& r : data["recordings"]) {
    rows.push_back({r["file"], r["label"], r["faulty"].get<bool>() ? "faulty" : "",
                    std::to_string(r["sample_rate_hz"].get<int>()),
                    std::to_string(r["channels"].get<int>()), Fixed(r["seconds"], 2),
                    ConditionsText(r["conditions"])});
  }
  std::fputs(Table({{"FILE"},
                    {"LABEL"},
                    {"FAULTY"},
                    {"RATE Hz", true},
                    {"CHANNELS", true},
                    {"SECONDS", true},
                    {"CONDITIONS"}},
                   rows)
                 .c_str(),
             stdout);

  std::puts("\nA demo of these recordings:");
  if (data["plan"].contains("error")) {
    std::printf("  not possible: %s\n", data["plan"]["error"].get<std::string>().c_str());
  } else {
    for (const json& stage : data["plan"]["stages"]) {
      std::printf("  %s: %s; %zu healthy, %zu faulty recordings\n",
                  stage["name"].get<std::string>().c_str(),
                  ConditionsText(stage["conditions"]).c_str(), stage["healthy"].size(),
                  stage["faulty"].size());
    }
  }

  std::printf("\nMeans of the level-1 features over windows of %d, every %d:\n",
              data["window"].get<int>(), data["hop"].get<int>());
  std::vector<Column> columns = {{"LABEL"}, {"WINDOWS", true}};
  std::vector<std::string> shown;
  rows.clear();
  for (const auto& [label, of] : data["features"].items()) {
    if (shown.empty()) {
      for (const auto& [name, value] : of["mean"].items()) {
        // The spectra's many bands are in the JSON.
        if (name.find("band") != std::string::npos || name.find("env") != std::string::npos)
          continue;
        shown.push_back(name);
        columns.push_back({name, true});
      }
    }
    std::vector<std::string> row = {label, std::to_string(of["windows"].get<uint64_t>())};
    for (const std::string& name : shown) row.push_back(Fixed(of["mean"].value(name, 0.0), 3));
    rows.push_back(std::move(row));
  }
  std::fputs(Table(columns, rows).c_str(), stdout);
}

int Run(DataOptions options) {
  if (!options.baseline.empty()) {
    auto baseline = sensors::ParseConditions(options.baseline);
    if (!baseline) return Report(baseline.error(), options.json);
    options.inspect.baseline = *baseline;
  }
  for (const std::string& text : options.changes) {
    auto change = sensors::ParseConditions(text);
    if (!change) return Report(change.error(), options.json);
    options.inspect.changes.push_back(*change);
  }
  const auto data = recordings::Inspect(options.inspect);
  if (!data) return Report(data.error(), options.json);
  if (options.json) {
    std::puts(data->dump(2, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    Print(*data);
  }
  return 0;
}

}  // namespace

void AddData(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("data", "Recordings on this machine");
  command->require_subcommand(1);
  auto* inspect = command->add_subcommand(
      "inspect", "What recordings are there, and what a demo would do with them");
  auto options = std::make_shared<DataOptions>();
  inspect->add_option("dir", options->inspect.dir, "A folder with an index.csv")->required();
  inspect->add_option("--window", options->inspect.window, "Frames")->capture_default_str();
  inspect->add_option("--hop", options->inspect.hop, "Frames")->capture_default_str();
  inspect->add_option("--baseline", options->baseline, "As for `edgeloop demo`")
      ->type_name("KEY=VALUE,..");
  inspect->add_option("--change", options->changes, "As for `edgeloop demo`; repeatable")
      ->type_name("KEY=VALUE,..");
  inspect->add_flag("--json", options->json, "Print JSON");
  inspect->footer("Example:\n  edgeloop data inspect ../shared/data/adi_cbm_motor");
  inspect->callback([options, action] { *action = [options] { return Run(*options); }; });
}

}  // namespace edgeloop::commands
