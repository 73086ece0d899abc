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

void Print(const json& event) {
  std::string line = event["at"].get<std::string>() + "  " + event["run"].get<std::string>() + "  ";
  line += event["step"] == "" ? "run" : event["step"].get<std::string>();
  line += " " + event["state"].get<std::string>();
  if (event["version"] != 0) {
    line += "  " + event["model"].get<std::string>() + " v" +
            std::to_string(event["version"].get<int>());
  }
  if (event["reason"] != "") line += "  " + event["reason"].get<std::string>();
  if (!event["features"].empty()) line += "  " + event["features"].dump();
  for (const auto& [name, value] : event["figures"].items()) {
    line += "  " + name + "=" + Fixed(value.get<double>(), 3);
  }
  std::puts(line.c_str());
}

int RunEvents(const Common& common, const Tail& tail) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  const Status done = ReadTail(*access, tail, [&](const json& message) {
    if (!message.contains("value") || message["value"].is_null()) return;
    if (common.json) {
      std::puts(message["value"].dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    } else {
      Print(message["value"]);
    }
    std::fflush(stdout);
  });
  return done ? 0 : Report(done.error(), common.json);
}

// A request to edgeloop-mlops; its answer is printed as it is.
int Ask(const Common& common, const char* method, const char* path, const std::string& body) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  auto client = access->Client(access->ListenPort("mlops"));
  if (!client) return Report(client.error(), common.json);
  auto answer = (*client)->Call(method, path, body);
  if (!answer) return Report(answer.error(), common.json);
  const json parsed = json::parse(*answer, nullptr, false);
  std::puts(parsed.is_discarded() ? answer->c_str() : parsed.dump(2).c_str());
  return 0;
}

}  // namespace

void AddPipelines(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("pipelines", "Retraining: events, runs, drift");
  command->require_subcommand(1);

  auto* events = command->add_subcommand("events", "What the pipelines did, step by step");
  auto common = std::make_shared<Common>();
  auto tail = std::make_shared<Tail>();
  tail->topic = topics::kPipelines;
  tail->last = 40;
  events->add_option("-n,--last", tail->last, "How many")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  events->add_flag("--follow,-f", tail->follow, "Wait for more until Ctrl-C");
  AddCommon(*events, common.get());
  events->footer("Example:\n  edgeloop pipelines events --follow");
  events->callback(
      [common, tail, action] { *action = [common, tail] { return RunEvents(*common, *tail); }; });

  const auto view = [&](const char* name, const char* about, const char* path) {
    auto* sub = command->add_subcommand(name, about);
    auto options = std::make_shared<Common>();
    AddCommon(*sub, options.get());
    sub->footer(std::string("Example:\n  edgeloop pipelines ") + name);
    sub->callback([options, path, action] {
      *action = [options, path] { return Ask(*options, "GET", path, ""); };
    });
  };
  view("status", "What the MLOps controller is doing", "/v1/status");
  view("runs", "Pipeline runs with their figures", "/v1/runs");
  view("drift", "Drift of each feature against the running model's data", "/v1/drift");

  auto* run = command->add_subcommand("run", "Train now, with the labels there are");
  auto run_common = std::make_shared<Common>();
  auto reason = std::make_shared<std::string>("asked for by the operator");
  run->add_option("--reason", *reason, "Recorded with the run")->capture_default_str();
  AddCommon(*run, run_common.get());
  run->footer("Example:\n  edgeloop pipelines run --reason 'new bearing supplier'");
  run->callback([run_common, reason, action] {
    *action = [run_common, reason] {
      return Ask(*run_common, "POST", "/v1/runs", json{{"reason", *reason}}.dump());
    };
  });
}

}  // namespace edgeloop::commands
