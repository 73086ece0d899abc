#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/table.h"
#include "cli/operate/operator.h"
#include "cli/site/access.h"
#include "contracts/events/cloud_event.h"
#include "contracts/ids/ids.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::commands {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kResetWithin = 30s;
constexpr auto kRepeatAfter = 2s;

// {device: what its gateway says of it}; a gateway that does not answer is an entry with an error.
Expected<json> List(const site::Access& access) {
  json devices = json::array();
  for (const std::string& gateway : access.gateways) {
    auto client = access.Client(access.HealthPort(gateway));
    if (!client) return Fail(client.error());
    auto answer = (*client)->Call("GET", "/v1/devices");
    if (!answer) {
      devices.push_back({{"device", gateway + "/*"}, {"error", answer.error().message()}});
      continue;
    }
    const json parsed = json::parse(*answer, nullptr, false);
    if (!parsed.is_object()) {
      return Fail(ErrorCode::kCorrupt, gateway + ": /v1/devices is not a JSON object");
    }
    const json& entries = parsed.contains("devices") ? parsed["devices"] : parsed;
    for (const auto& [key, value] : entries.items()) {
      json entry = value;
      const std::string id = entry.is_object() ? entry.value("id", key) : key;
      entry["device"] = id.find('/') == std::string::npos ? gateway + "/" + id : id;
      devices.push_back(std::move(entry));
    }
  }
  return devices;
}

int RunList(const Common& common) {
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  auto devices = List(*access);
  if (!devices) return Report(devices.error(), common.json);
  if (common.json) {
    std::puts(devices->dump(2).c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  const auto count = [](const json& entry, const char* key) {
    return std::to_string(entry.value(key, uint64_t{0}));
  };
  for (const json& d : *devices) {
    if (d.contains("error")) {
      rows.push_back(
          {d["device"], "away: " + d["error"].get<std::string>(), "", "", "", "", "", ""});
      continue;
    }
    const json model = d.value("model", json::object());
    rows.push_back(
        {d["device"],
         "v" + std::to_string(model.value("version", 0)) + " " + model.value("state", ""),
         d.value("contactor_open", false) ? "open" : "closed", count(d, "windows"),
         count(d, "alarms"), count(d, "trips"), count(d, "produced"), count(d, "pending")});
  }
  std::fputs(Table({{"DEVICE"},
                    {"MODEL"},
                    {"CONTACTOR"},
                    {"WINDOWS", true},
                    {"ALARMS", true},
                    {"TRIPS", true},
                    {"RECORDS", true},
                    {"PENDING", true}},
                   rows)
                 .c_str(),
             stdout);
  return 0;
}

// Sends the command, and again, until the device says that it is done.
Status Reset(const site::Access& access, const std::string& device) {
  auto consumer = kafka::Consumer::Create({.connection = access.Stream("edgeloop-cli")});
  if (!consumer) return Fail(consumer.error());
  if (Status s = (*consumer)->AssignAll({std::string(topics::kTelemetry)}, kafka::Consumer::kEnd);
      !s) {
    return s;
  }
  auto op = operate::Operator::Create(access);
  if (!op) return Fail(op.error());
  v1::Command command;
  command.set_command_id(operate::NewId());
  command.set_device(device);
  command.mutable_reset_contactor();

  const auto deadline = std::chrono::steady_clock::now() + kResetWithin;
  auto send_at = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < deadline) {
    if (std::chrono::steady_clock::now() >= send_at) {
      if (Status sent = (*op)->Send(command); !sent) return sent;
      send_at = std::chrono::steady_clock::now() + kRepeatAfter;
    }
    auto record = (*consumer)->Poll(250ms);
    if (!record) return Fail(record.error());
    v1::TelemetryRecord telemetry;
    if (*record && telemetry.ParseFromString((*record)->value) &&
        telemetry.event().command_id() == command.command_id() &&
        telemetry.event().type() == v1::DeviceEvent::CONTACTOR_RESET) {
      return {};
    }
  }
  return Fail(ErrorCode::kTimeout, device +
                                       " does not answer: is it there (`edgeloop devices "
                                       "list`) and its gateway ready (`edgeloop status`)?");
}

int RunReset(const Common& common, const std::string& device) {
  if (auto id = DeviceId::Parse(device); !id) return Report(id.error(), common.json);
  auto access = site::OpenAccess(common.state_dir);
  if (!access) return Report(access.error(), common.json);
  if (Status done = Reset(*access, device); !done) return Report(done.error(), common.json);
  std::puts(common.json ? json{{"device", device}, {"contactor", "closed"}}.dump().c_str()
                        : (device + ": contactor closed").c_str());
  return 0;
}

struct LabelOptions {
  Common common;
  std::string device, from, to, label;
  bool faulty = false;
  bool validation = false;
};

int RunLabel(const LabelOptions& options) {
  const auto from = events::ParseTime(options.from);
  if (!from) return Report(from.error(), options.common.json);
  const auto to = events::ParseTime(options.to);
  if (!to) return Report(to.error(), options.common.json);
  if (auto id = DeviceId::Parse(options.device); !id)
    return Report(id.error(), options.common.json);
  if (*to <= *from) {
    return Report(Error(ErrorCode::kInvalidArgument, "--to must be later than --from"),
                  options.common.json);
  }
  auto access = site::OpenAccess(options.common.state_dir);
  if (!access) return Report(access.error(), options.common.json);
  auto op = operate::Operator::Create(*access);
  if (!op) return Report(op.error(), options.common.json);
  v1::Label label;
  label.set_submission(operate::NewId());
  auto* interval = label.add_intervals();
  interval->set_device(options.device);
  interval->set_from_ns(*from);
  interval->set_to_ns(*to);
  interval->set_label(options.label);
  interval->set_faulty(options.faulty);
  interval->set_purpose(options.validation ? v1::Label::VALIDATION : v1::Label::TRAINING);
  if (Status s = (*op)->Submit(label); !s) return Report(s.error(), options.common.json);
  std::puts(options.common.json ? json{{"submission", label.submission()}}.dump().c_str()
                                : ("submitted " + label.submission()).c_str());
  return 0;
}

}  // namespace

void AddDevices(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("devices", "The devices and what they run");
  command->require_subcommand(0, 1);
  auto common = std::make_shared<Common>();
  AddCommon(*command, common.get());
  command->footer("Examples:\n  edgeloop devices\n  edgeloop devices reset gw-01/motor-02");

  auto* list = command->add_subcommand("list", "Models, contactors and counters (the default)");
  auto list_common = std::make_shared<Common>();
  AddCommon(*list, list_common.get());

  auto* reset = command->add_subcommand("reset", "Close the contactor of a device that tripped");
  auto device = std::make_shared<std::string>();
  auto reset_common = std::make_shared<Common>();
  reset->add_option("device", *device, "For example gw-01/motor-02")->required();
  AddCommon(*reset, reset_common.get());
  reset->footer("Example:\n  edgeloop devices reset gw-01/motor-02");

  auto* label = command->add_subcommand("label", "Tell what a device was like in a span of time");
  auto options = std::make_shared<LabelOptions>();
  label->add_option("device", options->device, "For example gw-01/motor-02")->required();
  label->add_option("--from", options->from, "RFC 3339, UTC")->required()->type_name("TIME");
  label->add_option("--to", options->to, "RFC 3339, UTC")->required()->type_name("TIME");
  label->add_option("--label", options->label, "For example healthy, inner_race")->required();
  label->add_flag("--faulty", options->faulty, "The machine was faulty");
  label->add_flag("--validation", options->validation, "Judge models with it, do not train");
  AddCommon(*label, &options->common);
  label->footer(
      "Example:\n  edgeloop devices label gw-01/motor-02 --from 2026-01-02T03:04:05Z "
      "--to 2026-01-02T03:14:05Z --label healthy");

  // CLI11 runs the parent's callback after the child's: it must not override the child's choice.
  command->callback([command, common, action] {
    if (command->get_subcommands().empty()) *action = [common] { return RunList(*common); };
  });
  list->callback(
      [list_common, action] { *action = [list_common] { return RunList(*list_common); }; });
  reset->callback([reset_common, device, action] {
    *action = [reset_common, device] { return RunReset(*reset_common, *device); };
  });
  label->callback([options, action] { *action = [options] { return RunLabel(*options); }; });
}

}  // namespace edgeloop::commands
