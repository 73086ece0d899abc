#include "platform/services/registry/api.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "contracts/events/cloud_event.h"
#include "contracts/ids/ids.h"
#include "runtime/log/log.h"

namespace edgeloop::registry {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;

constexpr int kInsufficientStorage = 507;  // RFC 4918 section 11.5

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::unexpected<Error> BadBody(const std::string& why) {
  return Fail(ErrorCode::kInvalidArgument, "body: " + why);
}

// Why the peer may not, if it may not.
Status MayRead(const tls::Peer& peer) {
  if (peer.organizational_unit == "service" || peer.organizational_unit == "operator") return {};
  return Fail(ErrorCode::kPermissionDenied, "only services and operators may read the catalog");
}
Expected<const Publisher*> MayPublish(const tls::Peer& peer,
                                      const std::vector<Publisher>& publishers) {
  const auto found = std::ranges::find(publishers, peer.common_name, &Publisher::common_name);
  if (peer.organizational_unit == "service" && found != publishers.end()) return &*found;
  return Fail(ErrorCode::kPermissionDenied, "'" + peer.common_name + "' is not a publisher here");
}

json ToJson(const ModelVersion& version) {
  return {{"version", version.model.version},
          {"digest", version.model.digest},
          {"size", version.model.size_bytes},
          {"signature_b64", signing::Base64Encode(version.signature)},
          {"key_id", version.key_id},
          {"created_at", events::FormatTime(uint64_t(version.created_at_ns))},
          {"metadata", json::parse(version.metadata, nullptr, false)}};
}

json ToJson(const ModelEntry& entry) {
  json result = {{"name", entry.name},
                 {"versions", json::array()},
                 {"aliases", json::object()},
                 {"history", json::array()}};
  for (const ModelVersion& version : entry.versions) result["versions"].push_back(ToJson(version));
  for (const auto& [alias, version] : entry.aliases) result["aliases"][alias] = version;
  for (const AliasChange& change : entry.history) {
    result["history"].push_back({{"at", events::FormatTime(uint64_t(change.at_ns))},
                                 {"alias", change.alias},
                                 {"from", change.from == 0 ? json() : json(change.from)},
                                 {"to", change.to},
                                 {"by", change.by}});
  }
  return result;
}

Expected<Response> PostVersion(const Registry& registry, const Request& request) {
  auto publisher = MayPublish(request.peer, registry.publishers);
  if (!publisher) return Fail(publisher.error());
  auto version = ParseVersionBody(request.path_parts[0], request.body);
  if (!version) return Fail(version.error());
  const auto& [common_name, key_id, verifier] = **publisher;
  if (!key_id.empty() && version->key_id != key_id) {
    return Fail(ErrorCode::kPermissionDenied,
                "key '" + version->key_id + "' is not that of '" + common_name + "'");
  }
  if (auto ok =
          verifier.Verify(version->key_id, ModelSigningText(version->model), version->signature);
      !ok) {
    return Fail(ErrorCode::kPermissionDenied, ok.error().message());
  }
  auto blob = registry.blobs.Get(version->model.digest);
  if (!blob) return Fail(blob.error());
  if (blob->size() != version->model.size_bytes) {
    return BadBody("size is " + std::to_string(version->model.size_bytes) + ", the blob has " +
                   std::to_string(blob->size()) + " bytes");
  }
  version->created_at_ns = NowNs();
  auto added = registry.catalog.AddVersion(*version);
  if (!added) return Fail(added.error());
  if (*added) {
    log::Info("version published", {{"model", version->model.name},
                                    {"version", version->model.version},
                                    {"by", request.peer.common_name}});
  }
  return Response{*added ? 201 : 200, ToJson(*version).dump()};
}

Expected<Response> PutAlias(const Registry& registry, const Request& request) {
  auto publisher = MayPublish(request.peer, registry.publishers);
  if (!publisher) return Fail(publisher.error());
  for (const std::string& part : request.path_parts) {
    if (!IsValidId(part)) {
      return Fail(ErrorCode::kInvalidArgument, "model and alias are ids: a-z, 0-9, '-'");
    }
  }
  auto version = ParseAliasBody(request.body);
  if (!version) return Fail(version.error());
  auto set = registry.catalog.SetAlias(request.path_parts[0], request.path_parts[1], *version,
                                       request.peer.common_name, NowNs());
  if (!set) return Fail(set.error());
  return Response{200, json{{"version", *version}}.dump()};
}

Expected<Response> PutBlob(const Registry& registry, const Request& request) {
  auto publisher = MayPublish(request.peer, registry.publishers);
  if (!publisher) return Fail(publisher.error());
  const std::string& digest = request.path_parts[0];
  if (auto ok = registry.blobs.Put(digest, request.body); !ok) return Fail(ok.error());
  return Response{201, json{{"digest", digest}, {"size", request.body.size()}}.dump()};
}

Expected<Response> GetBlob(const Registry& registry, const Request& request) {
  auto bytes = registry.blobs.Get(request.path_parts[0]);
  if (!bytes) return Fail(bytes.error());
  return Response{200, std::move(*bytes), "application/octet-stream"};
}

Expected<Response> GetModels(const Registry& registry, const Request& request) {
  if (auto ok = MayRead(request.peer); !ok) return Fail(ok.error());
  auto names = registry.catalog.Names();
  if (!names) return Fail(names.error());
  return Response{200, json{{"models", *names}}.dump()};
}

Expected<Response> GetModel(const Registry& registry, const Request& request) {
  if (auto ok = MayRead(request.peer); !ok) return Fail(ok.error());
  auto entry = registry.catalog.Get(request.path_parts[0]);
  if (!entry) return Fail(entry.error());
  return Response{200, ToJson(*entry).dump()};
}

}  // namespace

Expected<ModelVersion> ParseVersionBody(std::string_view name, std::string_view text) {
  const json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return BadBody("is not a JSON object");
  for (const auto& [key, value] : body.items()) {
    const bool text_key = key == "digest" || key == "signature_b64" || key == "key_id";
    const bool number_key = key == "version" || key == "size";
    if (!text_key && !number_key && key != "metadata") return BadBody("unknown key '" + key + "'");
    if ((text_key && !value.is_string()) || (number_key && !value.is_number_unsigned()) ||
        (key == "metadata" && !value.is_object())) {
      return BadBody("'" + key + "' has the wrong type");
    }
  }
  for (const char* key : {"version", "digest", "size", "signature_b64", "key_id"}) {
    if (!body.contains(key)) return BadBody(std::string("'") + key + "' is missing");
  }
  ModelVersion version;
  const auto number = body["version"].get<uint64_t>();
  version.model = {std::string(name), uint32_t(number), body["digest"].get<std::string>(),
                   body["size"].get<uint64_t>()};
  version.key_id = body["key_id"].get<std::string>();
  version.metadata =
      body.value("metadata", json::object()).dump(-1, ' ', false, json::error_handler_t::replace);
  if (!IsValidId(name)) return BadBody("the model's name is not an id: a-z, 0-9, '-'");
  if (number < 1 || number > INT32_MAX) return BadBody("version is not 1 to 2147483647");
  if (!IsValidDigest(version.model.digest)) return BadBody("digest is not sha256:<64 hex digits>");
  if (version.model.size_bytes < 1 || version.model.size_bytes > kMaxModelBytes) {
    return BadBody("size is not 1 to " + std::to_string(kMaxModelBytes));
  }
  if (version.metadata.size() > kMaxMetadataBytes) {
    return BadBody("metadata is longer than " + std::to_string(kMaxMetadataBytes) + " bytes");
  }
  auto signature = signing::Base64Decode(body["signature_b64"].get<std::string>());
  if (!signature) return BadBody("signature_b64: " + signature.error().message());
  version.signature = std::move(*signature);
  return version;
}

Expected<uint32_t> ParseAliasBody(std::string_view text) {
  const json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object() || body.size() != 1 || !body.contains("version") ||
      !body["version"].is_number_unsigned() || body["version"].get<uint64_t>() > INT32_MAX) {
    return BadBody("is not {\"version\": <number>}");
  }
  return uint32_t(body["version"].get<uint64_t>());
}

void AddRoutes(http::Server& server, const Registry& registry, metrics::Registry& metrics) {
  using Route = Expected<Response> (*)(const Registry&, const Request&);
  const auto add = [&](const char* method, const char* pattern, const char* name, Route route) {
    auto served = metrics.AddCounter("edgeloop_registry_requests_total", "Requests answered",
                                     {{"route", name}, {"result", "ok"}});
    auto failed = metrics.AddCounter("edgeloop_registry_requests_total", "Requests answered",
                                     {{"route", name}, {"result", "error"}});
    server.Handle(method, pattern,
                  [&registry, route, served, failed](const Request& request) mutable {
                    auto response = route(registry, request);
                    if (response) {
                      served.Add();
                      return std::move(*response);
                    }
                    failed.Add();
                    log::Warning("request refused", {{"path", request.path},
                                                     {"peer", request.peer.common_name},
                                                     {"reason", response.error().message()}});
                    Response error = http::ErrorResponse(response.error());
                    // The body was small enough: it is the disk that is full.
                    if (response.error().code() == ErrorCode::kResourceExhausted) {
                      error.status = kInsufficientStorage;
                    }
                    return error;
                  });
  };
  add("PUT", "/v1/blobs/([^/]+)", "put_blob", PutBlob);
  add("GET", "/v1/blobs/([^/]+)", "get_blob", GetBlob);
  add("GET", "/v1/models", "get_models", GetModels);
  add("GET", "/v1/models/([^/]+)", "get_model", GetModel);
  add("POST", "/v1/models/([^/]+)/versions", "post_version", PostVersion);
  add("PUT", "/v1/models/([^/]+)/aliases/([^/]+)", "put_alias", PutAlias);
}

}  // namespace edgeloop::registry
