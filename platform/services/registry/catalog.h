// Models, versions, aliases and their history in SQLite (WAL, synchronous=FULL: what was answered
// has survived).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/ids/model_ref.h"

struct sqlite3;

namespace edgeloop::registry {

struct ModelVersion {
  ModelRef model;
  std::vector<uint8_t> signature;
  std::string key_id;
  std::string metadata;  // a JSON object
  int64_t created_at_ns = 0;
};

struct AliasChange {
  int64_t at_ns = 0;
  std::string alias;
  uint32_t from = 0;  // 0: the alias is new
  uint32_t to = 0;
  std::string by;
};

struct ModelEntry {
  std::string name;
  std::vector<ModelVersion> versions;                     // ascending
  std::vector<std::pair<std::string, uint32_t>> aliases;  // alias -> version
  std::vector<AliasChange> history;                       // oldest first
};

// Thread-safe.
class Catalog {
 public:
  static Expected<std::unique_ptr<Catalog>> Open(const std::string& path);
  ~Catalog();

  // True: added. False: it was there, the same. kAlreadyExists: it was there, different.
  Expected<bool> AddVersion(const ModelVersion& version);
  // kNotFound when the model has no such version. Setting what is set already changes nothing.
  Status SetAlias(std::string_view name, std::string_view alias, uint32_t version,
                  std::string_view by, int64_t at_ns);
  Expected<std::vector<std::string>> Names() const;
  Expected<ModelEntry> Get(std::string_view name) const;

 private:
  struct Closer {
    void operator()(sqlite3* db) const;
  };
  explicit Catalog(std::unique_ptr<sqlite3, Closer> db);

  const std::unique_ptr<sqlite3, Closer> db_;
  mutable std::mutex mutex_;
};

}  // namespace edgeloop::registry
