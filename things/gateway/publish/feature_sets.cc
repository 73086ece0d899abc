#include "things/gateway/publish/feature_sets.h"

#include <algorithm>
#include <utility>

#include "contracts/ids/model_ref.h"

namespace edgeloop::gateway {
namespace {

constexpr size_t kSetsKept = 64;
constexpr size_t kMaxSetBytes = 64u << 10;

}  // namespace

Expected<std::unique_ptr<FeatureSets>> FeatureSets::Load(fs::FileSystem& fs, std::string dir) {
  if (Status status = fs.MakeDirs(dir); !status) return Fail(status.error());
  std::unique_ptr<FeatureSets> sets(new FeatureSets(fs, std::move(dir)));
  auto entries = fs.List(sets->dir_);
  if (!entries) return Fail(entries.error());
  for (const fs::DirEntry& entry : *entries) {
    const std::string digest = "sha256:" + entry.name;
    if (!IsValidDigest(digest)) continue;
    auto bytes = fs::ReadFile(fs, sets->dir_ + "/" + entry.name, kMaxSetBytes);
    if (!bytes) return Fail(bytes.error());
    auto& names = sets->sets_[digest];
    std::string name;
    for (const uint8_t c : *bytes) {
      if (c != '\n') {
        name += static_cast<char>(c);
      } else {
        names.push_back(std::exchange(name, {}));
      }
    }
  }
  return sets;
}

Status FeatureSets::Add(const std::string& digest, const std::vector<std::string>& names) {
  std::lock_guard lock(mutex_);
  const auto found = sets_.find(digest);
  if (found != sets_.end() && found->second == names) return {};
  if (!IsValidDigest(digest)) return Fail(ErrorCode::kInvalidArgument, "not a digest: " + digest);
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  if (sets_.size() >= kSetsKept && found == sets_.end()) {
    const auto oldest = sets_.begin();  // any: records of so many models ago are long gone
    (void)fs_.Remove(dir_ + "/" + oldest->first.substr(7));
    sets_.erase(oldest);
  }
  sets_[digest] = names;
  return fs::WriteFileAtomically(fs_, dir_ + "/" + digest.substr(7),
                                 {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::vector<std::string> FeatureSets::Find(const std::string& digest, size_t count) const {
  {
    std::lock_guard lock(mutex_);
    const auto found = sets_.find(digest);
    if (found != sets_.end() && found->second.size() == count) return found->second;
  }
  std::vector<std::string> names(count);
  for (size_t i = 0; i < count; ++i) names[i] = "unknown." + std::to_string(i);
  return names;
}

}  // namespace edgeloop::gateway
