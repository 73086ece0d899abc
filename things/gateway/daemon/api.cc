// The HTTP API of the gateway: what its devices do, and control of simulated plants.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "things/gateway/daemon/gateway.h"

namespace edgeloop::gateway {
namespace {

using nlohmann::json;

constexpr size_t kMaxSegments = 1'000;

json Percentiles(std::vector<uint32_t> values) {
  std::ranges::sort(values);
  const auto at = [&](double fraction) {
    return values.empty() ? 0u
                          : values[static_cast<size_t>(
                                fraction * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"max", at(1)}, {"count", values.size()}};
}

json PlantJson(const LoopStatus& status) {
  json segments = json::array();
  size_t queued = 0;
  for (const SegmentProgress& segment : status.segments) {
    queued += segment.state == "queued" ? 1 : 0;
    json entry = {{"id", segment.id},
                  {"state", segment.state},
                  {"from_ns", segment.from_ns},
                  {"to_ns", segment.to_ns},
                  {"windows", segment.windows}};
    if (!segment.error.empty()) entry["error"] = segment.error;
    segments.push_back(std::move(entry));
  }
  return {{"queue", queued}, {"segments", segments}, {"contactor_open", status.contactor_open}};
}

http::Response Json(const json& body) {
  return {.body = body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

// A plant with a real machine cannot be directed; a simulated one only by people.
Status CheckOperator(const http::Request& request) {
  if (request.peer.organizational_unit == "operator") return {};
  return Fail(ErrorCode::kPermissionDenied,
              "only a client certificate with OU=operator may direct the plant");
}

Expected<std::vector<sensors::Segment>> ReadSegments(const std::string& body, bool* loop_last) {
  try {
    const json parsed = json::parse(body);
    for (const auto& [key, value] : parsed.items()) {
      if (key != "segments" && key != "loop_last") {
        return Fail(ErrorCode::kInvalidArgument, "unknown key '" + key + "'");
      }
    }
    *loop_last = parsed.value("loop_last", false);
    const json& list = parsed.at("segments");
    if (!list.is_array() || list.size() > kMaxSegments) {
      return Fail(ErrorCode::kInvalidArgument, "segments is no list of at most 1000");
    }
    std::vector<sensors::Segment> segments;
    for (const json& entry : list) {
      auto segment = sensors::Segment::FromJson(entry);
      if (!segment) return Fail(segment.error());
      segments.push_back(std::move(*segment));
    }
    return segments;
  } catch (const json::exception& e) {
    return Fail(ErrorCode::kInvalidArgument, e.what());
  }
}

}  // namespace

std::string Gateway::DevicesJson() const {
  json list = json::array();
  for (const auto& device : devices_) {
    const StoreStats store = device->store->stats();
    const LoopStatus loop = device->loop->status();
    list.push_back({{"id", device->id.device()},
                    {"device", device->id.text()},
                    {"boot", store.boot},
                    {"produced", store.produced},
                    {"acked_seq", store.acked_seq},
                    {"acked", store.acked_seq},
                    {"dropped",
                     {{"raw", store.dropped.raw},
                      {"features", store.dropped.features},
                      {"alarms", store.dropped.alarms}}},
                    {"pending", store.produced - store.acked_seq},
                    {"store_bytes", store.disk_bytes},
                    {"resent", node_->resent(device->index)},
                    {"windows", loop.windows},
                    {"glitches", loop.glitches},
                    {"alarms", loop.alarms},
                    {"trips", loop.trips},
                    {"model",
                     {{"digest", loop.model_digest},
                      {"version", loop.model_version},
                      {"state", device->agent->state_name()}}},
                    {"actuation_latency_us", Percentiles(loop.latencies_us)},
                    {"contactor_open", loop.contactor_open}});
  }
  return json{{"gateway", options_.gateway_id}, {"devices", list}}.dump();
}

http::Response Gateway::DirectPlant(const http::Request& request) {
  if (Status status = CheckOperator(request); !status) return http::ErrorResponse(status.error());
  Device* device = Find(request.path_parts.at(0));
  if (device == nullptr) {
    return http::ErrorResponse(
        Error(ErrorCode::kNotFound, "no device '" + request.path_parts.at(0) + "' here"));
  }
  if (request.method == "POST") {
    bool loop_last = false;
    auto segments = ReadSegments(request.body, &loop_last);
    if (!segments) return http::ErrorResponse(segments.error());
    device->loop->Play(std::move(*segments), loop_last);
    return Json(json::object());
  }
  return Json(PlantJson(device->loop->status()));
}

void Gateway::AddRoutes(http::Server& server) {
  server.Handle("GET", "/v1/devices",
                [this](const http::Request&) { return http::Response{.body = DevicesJson()}; });
  if (!options_.plant_control) return;
  for (const char* method : {"GET", "POST"}) {
    server.Handle(method, "/v1/plant/([a-z0-9-]{1,48})",
                  [this](const http::Request& request) { return DirectPlant(request); });
  }
}

}  // namespace edgeloop::gateway
