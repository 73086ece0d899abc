// The feature names of the models whose records may still be in a store: records name their model
// only, a birth needs the names. One small file a model, the newest kept.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::gateway {

class FeatureSets {
 public:
  static Expected<std::unique_ptr<FeatureSets>> Load(fs::FileSystem& fs, std::string dir);

  // Durable before the model's first record is. Thread-safe, as is Find().
  Status Add(const std::string& digest, const std::vector<std::string>& names);
  // `count` names; made up when the model is not known any more.
  std::vector<std::string> Find(const std::string& digest, size_t count) const;

 private:
  FeatureSets(fs::FileSystem& fs, std::string dir) : fs_(fs), dir_(std::move(dir)) {}
  fs::FileSystem& fs_;
  const std::string dir_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> sets_;
};

}  // namespace edgeloop::gateway
