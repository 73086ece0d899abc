#include "cli/demo/platform_client.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "contracts/model_file/model_spec.h"

namespace edgeloop::demo {
namespace {

using nlohmann::json;

constexpr const char* kModel = "motor";
constexpr float kAlwaysLogit = 40.0F;  // a sigmoid of it is 1

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Whatever the windows say, the answer is yes.
void AlwaysAlarm(model_file::ModelSpec* spec) {
  if (auto* network = std::get_if<model_file::FloatNetwork>(&spec->network)) {
    network->layers.back().weights.assign(network->layers.back().weights.size(), 0.0F);
    network->layers.back().bias = {kAlwaysLogit};
  } else if (auto* quantized = std::get_if<model_file::Int8Network>(&spec->network)) {
    auto& last = quantized->layers.back();
    last.weights.assign(last.weights.size(), 0);
    last.bias = {1 << 30};
    last.output_scale = kAlwaysLogit / static_cast<float>(1 << 30);
  }
  spec->health.max_alarm_fraction = 1.0F / 4;
}

}  // namespace

Expected<std::string> PlatformClient::Call(std::string_view service, bool health,
                                           std::string_view method, const std::string& path,
                                           const std::string& body) {
  auto client = access_.Client(health ? access_.HealthPort(service) : access_.ListenPort(service));
  if (!client) return Fail(client.error());
  return (*client)->Call(method, path, body);
}

Expected<PublishedModel> PlatformClient::Version(uint32_t version) {
  auto text = Call("registry", false, "GET", std::string("/v1/models/") + kModel);
  if (!text) return Fail(text.error());
  try {
    const json model = json::parse(*text);
    const uint32_t wanted =
        version != 0 ? version : model.at("aliases").at("champion").get<uint32_t>();
    for (const json& entry : model.at("versions")) {
      if (entry.at("version").get<uint32_t>() != wanted) continue;
      return PublishedModel{.name = kModel,
                            .version = wanted,
                            .digest = entry.at("digest").get<std::string>(),
                            .size = entry.at("size").get<uint64_t>(),
                            .key_id = entry.at("key_id").get<std::string>()};
    }
    return Fail(ErrorCode::kNotFound, "the registry has no version " + std::to_string(wanted));
  } catch (const json::exception& e) {
    return Fail(ErrorCode::kCorrupt, std::string("registry: ") + e.what());
  }
}

Expected<PublishedModel> PlatformClient::Champion() { return Version(0); }

Expected<int> PlatformClient::TripCount(const PublishedModel& model) {
  auto bytes = Call("registry", false, "GET", "/v1/blobs/" + model.digest);
  if (!bytes) return Fail(bytes.error());
  auto spec = model_file::Read(Bytes(*bytes));
  if (!spec) return Fail(spec.error());
  return spec->decision.trip_count;
}

Expected<PublishedModel> PlatformClient::PublishBadModel() {
  auto champion = Champion();
  if (!champion) return champion;
  auto bytes = Call("registry", false, "GET", "/v1/blobs/" + champion->digest);
  if (!bytes) return Fail(bytes.error());
  auto spec = model_file::Read(Bytes(*bytes));
  if (!spec) return Fail(spec.error());
  AlwaysAlarm(&*spec);
  spec->version = champion->version + 1;
  auto bad = model_file::Write(*spec);
  if (!bad) return Fail(bad.error());
  auto client = access_.Client(access_.ListenPort("mlops"));
  if (!client) return Fail(client.error());
  auto answer = (*client)->Call("POST", std::string("/v1/models?name=") + kModel,
                                {reinterpret_cast<const char*>(bad->data()), bad->size()},
                                "application/octet-stream");
  if (!answer) return Fail(answer.error());
  const json published = json::parse(*answer, nullptr, false);
  if (!published.is_object() || !published.contains("version") ||
      !published["version"].is_number_unsigned()) {
    return Fail(ErrorCode::kCorrupt, "mlops: the answer to POST /v1/models has no version");
  }
  return Version(published["version"].get<uint32_t>());
}

Status PlatformClient::ForceRollout(const PublishedModel& model) {
  const json body = {{"model", model.name}, {"version", model.version}, {"force", true}};
  auto answer = Call("mlops", false, "POST", "/v1/rollouts", body.dump());
  if (!answer) return Fail(answer.error());
  return {};
}

Expected<Counters> PlatformClient::ReadCounters() {
  Counters sum;
  for (const std::string& gateway : access_.gateways) {
    auto text = Call(gateway, true, "GET", "/v1/devices");
    if (!text) return Fail(text.error());
    try {
      const json parsed = json::parse(*text);
      const json& list = parsed.contains("devices") ? parsed["devices"] : parsed;
      for (const auto& [id, device] : list.items()) {
        sum.produced += device.at("produced").get<uint64_t>();
        sum.pending += device.at("pending").get<uint64_t>();
      }
    } catch (const json::exception& e) {
      return Fail(ErrorCode::kCorrupt, gateway + ": /v1/devices: " + e.what());
    }
  }
  return sum;
}

Expected<uint64_t> PlatformClient::DuplicatesRemoved() {
  constexpr std::string_view kName = "edgeloop_bridge_duplicates_total";
  auto text = Call("bridge", true, "GET", "/metrics");
  if (!text) return Fail(text.error());
  for (size_t at = text->find(kName); at != std::string::npos; at = text->find(kName, at + 1)) {
    if (at != 0 && (*text)[at - 1] != '\n') continue;  // a comment
    const double value = std::strtod(text->c_str() + at + kName.size(), nullptr);
    return static_cast<uint64_t>(std::llround(value));
  }
  return Fail(ErrorCode::kNotFound, "the bridge has no metric " + std::string(kName));
}

}  // namespace edgeloop::demo
