// The HTTP interface of the registry. README.md lists it, and who may do what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "platform/services/registry/blob_store.h"
#include "platform/services/registry/catalog.h"
#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"
#include "runtime/signing/signing.h"

namespace edgeloop::registry {

inline constexpr size_t kMaxMetadataBytes = 64u << 10;

// Who may publish: a service of this name, with signatures by its key.
struct Publisher {
  std::string common_name;
  std::string key_id;  // empty: whatever the verifier's keys are
  signing::Verifier verifier;
};

// {"version","digest","size","signature_b64","key_id","metadata"}, metadata an object or absent.
Expected<ModelVersion> ParseVersionBody(std::string_view name, std::string_view json);
// {"version": n}
Expected<uint32_t> ParseAliasBody(std::string_view json);

struct Registry {
  const BlobStore& blobs;
  Catalog& catalog;
  std::vector<Publisher> publishers;
};
// `registry` must outlive the server.
void AddRoutes(http::Server& server, const Registry& registry, metrics::Registry& metrics);

}  // namespace edgeloop::registry
