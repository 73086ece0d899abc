#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/stream_reader.h"
#include "cli/commands/table.h"
#include "cli/site/access.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

Expected<json> List(const site::Access& access) {
  auto admin = kafka::Admin::Create(access.Stream("edgeloop-cli"));
  if (!admin) return Fail(admin.error());
  auto topics = (*admin)->ListTopics(10s);
  if (!topics) return Fail(topics.error());
  auto consumer = kafka::Consumer::Create({.connection = access.Stream("edgeloop-cli")});
  if (!consumer) return Fail(consumer.error());
  json list = json::array();
  for (const auto& topic : *topics) {
    int64_t messages = 0, next = 0;
    for (int32_t p = 0; p < topic.partitions; ++p) {
      auto marks = (*consumer)->QueryWatermarks(topic.name, p, 10s);
      if (!marks) return Fail(marks.error());
      messages += marks->high - marks->low;
      next += marks->high;
    }
    list.push_back({{"topic", topic.name},
                    {"partitions", topic.partitions},
                    {"messages", messages},
                    {"written", next}});
  }
  return list;
}

int RunList(const Common& common) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  auto list = List(*access);
  if (!list) return Report(list.error(), common.json);
  if (common.json) {
    std::puts(list->dump(2).c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const json& topic : *list) {
    rows.push_back({topic["topic"], std::to_string(topic["partitions"].get<int>()),
                    std::to_string(topic["messages"].get<int64_t>())});
  }
  std::fputs(Table({{"TOPIC"}, {"PARTITIONS", true}, {"MESSAGES", true}}, rows).c_str(), stdout);
  return 0;
}

int RunTail(const Common& common, const Tail& tail) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  const Status done = ReadTail(*access, tail, [&](const json& message) {
    const auto dump = [](const json& j) {
      return j.dump(-1, ' ', false, json::error_handler_t::replace);
    };
    if (common.json) {
      std::puts(dump(message).c_str());
    } else {
      const json& what = message.contains("value") ? message["value"] : message["error"];
      std::printf("%d:%lld %s %s\n", message["partition"].get<int>(),
                  static_cast<long long>(message["offset"].get<int64_t>()),
                  dump(message["key"]).c_str(), dump(what).c_str());
    }
    std::fflush(stdout);
  });
  return done ? 0 : Report(done.error(), common.json);
}

}  // namespace

void AddStreams(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("streams", "The event streams and what is in them");
  command->require_subcommand(1);

  auto* list = command->add_subcommand("list", "Topics and how much they hold");
  auto common = std::make_shared<Common>();
  AddCommon(*list, common.get());
  list->footer("Example:\n  edgeloop streams list --json");
  list->callback([common, action] { *action = [common] { return RunList(*common); }; });

  auto* tail = command->add_subcommand("tail", "The last messages of a topic, decoded");
  auto tail_common = std::make_shared<Common>();
  auto options = std::make_shared<Tail>();
  tail->add_option("topic", options->topic, "For example edgeloop.telemetry")->required();
  tail->add_option("-n,--last", options->last, "How many")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  tail->add_flag("--follow,-f", options->follow, "Wait for more until Ctrl-C");
  AddCommon(*tail, tail_common.get());
  tail->footer(
      "With --json one object a line.\n"
      "Examples:\n"
      "  edgeloop streams tail edgeloop.alerts -n 5\n"
      "  edgeloop streams tail edgeloop.telemetry --follow --json | jq .value.score");
  tail->callback([tail_common, options, action] {
    *action = [tail_common, options] { return RunTail(*tail_common, *options); };
  });
}

}  // namespace edgeloop::commands
