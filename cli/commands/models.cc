#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/table.h"
#include "cli/site/access.h"
#include "contracts/ids/ids.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;

Expected<json> Ask(const Common& common, const char* service, const char* method,
                   const std::string& path, const std::string& body = "") {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Fail(access.error());
  auto client = access->Client(access->ListenPort(service));
  if (!client) return Fail(client.error());
  auto answer = (*client)->Call(method, path, body);
  if (!answer) return Fail(answer.error());
  json parsed = json::parse(*answer, nullptr, false);
  if (parsed.is_discarded()) {
    return Fail(ErrorCode::kCorrupt, std::string(service) + " answered what is not JSON");
  }
  return parsed;
}

Expected<json> AskModel(const Common& common, const std::string& name) {
  if (!IsValidId(name)) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + name + "' is no model name (1..48 of a-z, 0-9 and -); see `edgeloop models`");
  }
  return Ask(common, "registry", "GET", "/v1/models/" + name);
}

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

int Print(const Common& common, const Expected<json>& answer,
          const std::function<std::string(const json&)>& text) {
  if (!answer) return Report(answer.error(), common.json);
  const std::string out = common.json ? answer->dump(2) + "\n" : text(*answer);
  std::fputs(out.c_str(), stdout);
  return 0;
}

std::string ListText(const json& answer) {
  std::vector<std::vector<std::string>> rows;
  const json& models = answer.is_object() && answer.contains("models") ? answer["models"] : answer;
  for (const json& model : models) {
    if (model.is_string()) {
      rows.push_back({model, "", ""});
      continue;
    }
    rows.push_back({Text(model.value("name", json(""))),
                    model.contains("versions") ? std::to_string(model["versions"].size()) : "",
                    model.contains("aliases") ? model["aliases"].dump() : ""});
  }
  if (rows.empty())
    return "no models yet: they come with labels (`edgeloop devices label --help`)\n";
  return Table({{"MODEL"}, {"VERSIONS", true}, {"ALIASES"}}, rows);
}

std::string ShowText(const json& model) {
  std::vector<std::vector<std::string>> rows;
  const json aliases = model.value("aliases", json::object());
  for (const json& version : model.value("versions", json::array())) {
    std::string names;
    for (const auto& [alias, of] : aliases.items()) {
      if (of == version["version"]) names += (names.empty() ? "" : ", ") + alias;
    }
    rows.push_back({Text(version["version"]), Text(version["digest"]).substr(0, 19),
                    Text(version["size"]), Text(version.value("created_at", json(""))), names});
  }
  return Table({{"VERSION", true}, {"DIGEST"}, {"BYTES", true}, {"CREATED"}, {"ALIASES"}}, rows);
}

std::string HistoryText(const json& model) {
  std::vector<std::vector<std::string>> rows;
  for (const json& change : model.value("history", json::array())) {
    rows.push_back({Text(change.value("at", json(""))), Text(change.value("alias", json(""))),
                    Text(change.value("from", json(nullptr))), Text(change.value("to", json(""))),
                    Text(change.value("by", json("")))});
  }
  return Table({{"AT"}, {"ALIAS"}, {"FROM", true}, {"TO", true}, {"BY"}}, rows);
}

struct RolloutOptions {
  Common common;
  std::string name;
  int64_t version = 0;
  bool force = false;
};

}  // namespace

void AddModels(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("models", "Models in the registry and their roll-out");
  command->require_subcommand(0, 1);
  auto common = std::make_shared<Common>();
  AddCommon(*command, common.get());
  command->footer(
      "Examples:\n  edgeloop models\n  edgeloop models show motor\n"
      "  edgeloop models rollout motor 3");
  command->callback([command, common, action] {
    if (!command->get_subcommands().empty()) return;
    *action = [common] {
      return Print(*common, Ask(*common, "registry", "GET", "/v1/models"), ListText);
    };
  });

  const auto view = [&](const char* name, const char* about, std::string (*text)(const json&)) {
    auto* sub = command->add_subcommand(name, about);
    auto options = std::make_shared<Common>();
    auto model = std::make_shared<std::string>();
    sub->add_option("model", *model, "Its name")->required();
    AddCommon(*sub, options.get());
    sub->footer(std::string("Example:\n  edgeloop models ") + name + " motor");
    sub->callback([options, model, text, action] {
      *action = [options, model, text] {
        return Print(*options, AskModel(*options, *model), text);
      };
    });
  };
  view("show", "Versions of a model, their digests and aliases", ShowText);
  view("history", "How its aliases (champion, challenger) moved", HistoryText);

  auto* rollout = command->add_subcommand("rollout", "Roll a version out: canary, then all");
  auto options = std::make_shared<RolloutOptions>();
  rollout->add_option("model", options->name, "Its name")->required();
  rollout->add_option("version", options->version, "Which")->required()->check(CLI::PositiveNumber);
  rollout->add_flag("--force", options->force, "Even when it is not better than the champion");
  AddCommon(*rollout, &options->common);
  rollout->footer(
      "Devices still verify the signature, and revert a model that fails its trial.\n"
      "Example:\n  edgeloop models rollout motor 2   # back to version 2");
  rollout->callback([options, action] {
    *action = [options] {
      const json body = {
          {"model", options->name}, {"version", options->version}, {"force", options->force}};
      return Print(options->common,
                   Ask(options->common, "mlops", "POST", "/v1/rollouts", body.dump()),
                   [](const json& answer) { return answer.dump(2) + "\n"; });
    };
  });
}

}  // namespace edgeloop::commands
