#include "platform/mlops/pipeline/model_registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/signing/signing.h"

namespace edgeloop::mlops {

using nlohmann::json;

Expected<std::unique_ptr<HttpModelRegistry>> HttpModelRegistry::Create(
    http::Client::Options options) {
  auto client = http::Client::Create(std::move(options));
  if (!client) return Fail(client.error(), "registry");
  return std::unique_ptr<HttpModelRegistry>(new HttpModelRegistry(std::move(*client)));
}

Status HttpModelRegistry::Publish(const SignedModel& model, std::span<const std::uint8_t> elm,
                                  const std::string& metadata_json) {
  const std::lock_guard lock(mutex_);
  auto stored =
      client_->Call("PUT", "/v1/blobs/" + model.digest,
                    std::string_view(reinterpret_cast<const char*>(elm.data()), elm.size()),
                    "application/octet-stream");
  if (!stored) return Fail(stored.error(), "registry: blob");
  const json body = {
      {"version", model.version}, {"digest", model.digest},
      {"size", model.size},       {"signature_b64", signing::Base64Encode(model.signature)},
      {"key_id", model.key_id},   {"metadata", json::parse(metadata_json, nullptr, false)}};
  auto posted = client_->Call("POST", "/v1/models/" + model.name + "/versions", body.dump());
  if (!posted) return Fail(posted.error(), "registry: version");
  return {};
}

Status HttpModelRegistry::SetAlias(const std::string& name, const std::string& alias,
                                   std::uint32_t version) {
  const std::lock_guard lock(mutex_);
  auto set = client_->Call("PUT", "/v1/models/" + name + "/aliases/" + alias,
                           json{{"version", version}}.dump());
  if (!set) return Fail(set.error(), "registry: alias " + alias);
  return {};
}

Expected<std::uint32_t> HttpModelRegistry::LatestVersion(const std::string& name) {
  const std::lock_guard lock(mutex_);
  auto response = client_->Send("GET", "/v1/models/" + name);
  if (!response) return Fail(response.error(), "registry");
  if (response->status == 404) return 0;
  const json body = json::parse(response->body, nullptr, false);
  if (response->status != 200 || !body.is_object() || !body.contains("versions") ||
      !body["versions"].is_array()) {
    return Fail(ErrorCode::kUnavailable,
                "registry: answered " + std::to_string(response->status) + " for " + name);
  }
  std::uint32_t latest = 0;
  for (const json& version : body["versions"]) {
    if (version.is_object()) latest = std::max(latest, version.value("version", 0u));
  }
  return latest;
}

}  // namespace edgeloop::mlops
