#include "cli/demo/plant.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "contracts/ids/ids.h"

namespace edgeloop::demo {
namespace {

using nlohmann::json;

// The plant has no way to tell us when a segment ends: it is asked.
constexpr std::chrono::milliseconds kAskEvery{250};

}  // namespace

Expected<http::Client*> Plant::Of(const std::string& device, std::string* path) {
  const auto id = DeviceId::Parse(device);
  if (!id) return Fail(id.error());
  const std::string gateway(id->gateway());
  *path = "/v1/plant/" + std::string(id->device());
  auto& client = clients_[gateway];
  if (!client) {
    auto created = access_.Client(access_.HealthPort(gateway));
    if (!created) return Fail(created.error());
    client = std::move(*created);
  }
  return client.get();
}

Expected<std::vector<std::string>> Plant::Play(const std::string& device,
                                               std::vector<sensors::Segment> segments,
                                               bool loop_last) {
  std::string path;
  auto client = Of(device, &path);
  if (!client) return Fail(client.error());
  std::vector<std::string> ids;
  json list = json::array();
  for (sensors::Segment& segment : segments) {
    segment.id = "s" + std::to_string(next_id_++);
    ids.push_back(segment.id);
    list.push_back(segment.ToJson());
  }
  auto answer =
      (*client)->Call("POST", path, json{{"segments", list}, {"loop_last", loop_last}}.dump());
  if (!answer) return Fail(answer.error(), "plant of " + device);
  return ids;
}

Expected<std::vector<Interval>> Plant::WaitPlayed(const std::string& device,
                                                  const std::vector<std::string>& ids,
                                                  std::chrono::steady_clock::time_point deadline) {
  std::string path;
  auto client = Of(device, &path);
  if (!client) return Fail(client.error());
  while (true) {
    auto answer = (*client)->Call("GET", path);
    if (!answer) return Fail(answer.error(), "plant of " + device);
    const json parsed = json::parse(*answer, nullptr, false);
    std::map<std::string, Interval> played;
    try {
      for (const json& segment : parsed.at("segments")) {
        const std::string state = segment.at("state");
        if (state == "done" || state == "looping") {
          played[segment.at("id")] = {.device = device,
                                      .from_ns = segment.at("from_ns").get<uint64_t>(),
                                      .to_ns = segment.at("to_ns").get<uint64_t>()};
        }
      }
    } catch (const json::exception& e) {
      return Fail(ErrorCode::kCorrupt, "plant of " + device + ": " + e.what());
    }
    if (std::ranges::all_of(ids, [&](const std::string& id) { return played.contains(id); })) {
      std::vector<Interval> intervals;
      for (const std::string& id : ids) intervals.push_back(played[id]);
      return intervals;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Fail(ErrorCode::kTimeout, device + " has not played its segments in time");
    }
    std::this_thread::sleep_for(kAskEvery);
  }
}

Status Plant::Stop(const std::string& device) {
  auto stopped = Play(device, {}, false);
  if (!stopped) return Fail(stopped.error());
  return {};
}

}  // namespace edgeloop::demo
