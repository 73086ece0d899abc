#include "runtime/fs/fault_file_system.h"

#include <algorithm>
#include <cstring>

namespace edgeloop::fs {
namespace {

constexpr size_t kSectorBytes = 512;  // what a disk writes whole or not at all

std::unexpected<Error> Down(const std::string& path) {
  return Fail(ErrorCode::kUnavailable, path + ": the machine has crashed");
}

}  // namespace

class FaultFile final : public File {
 public:
  FaultFile(FaultFileSystem& fs, std::shared_ptr<FaultFileSystem::Node> node, std::string path)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)), generation_(fs.generation_) {}

  Expected<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) const override {
    std::lock_guard lock(fs_.mutex_);
    if (!AliveLocked()) return Down(path_);
    const std::vector<uint8_t>& bytes = node_->current;
    if (offset >= bytes.size()) return size_t{0};
    const size_t count = std::min<size_t>(out.size(), bytes.size() - offset);
    if (count > 0) std::memcpy(out.data(), bytes.data() + offset, count);
    return count;
  }

  Status WriteAt(uint64_t offset, std::span<const uint8_t> data) override {
    std::lock_guard lock(fs_.mutex_);
    if (!AliveLocked()) return Down(path_);
    const bool up = fs_.StepLocked();
    size_t count = data.size();
    bool failing = false;
    if (!up || fs_.failing_writes_ > 0) {
      count = fs_.random_() % (data.size() + 1);
      failing = up;
      if (up) --fs_.failing_writes_;
    }
    std::vector<uint8_t>& bytes = node_->current;
    const uint64_t old_size = bytes.size();
    const uint64_t used = fs_.UsedLocked();
    const uint64_t free_bytes = fs_.capacity_ > used ? fs_.capacity_ - used : 0;
    bool full = false;
    if (offset + count > old_size && offset + count - old_size > free_bytes) {
      const uint64_t end = old_size + free_bytes;
      count = end > offset ? end - offset : 0;
      full = true;
    }
    if (count > 0) {
      if (offset + count > bytes.size()) bytes.resize(offset + count);
      std::memcpy(bytes.data() + offset, data.data(), count);
    }
    if (!up) return Down(path_);
    if (failing) return Fail(ErrorCode::kUnavailable, "write " + path_ + ": input/output error");
    if (full) return Fail(ErrorCode::kResourceExhausted, "write " + path_ + ": no space left");
    return {};
  }

  Status Sync() override {
    std::lock_guard lock(fs_.mutex_);
    if (!AliveLocked() || !fs_.StepLocked()) return Down(path_);
    ++fs_.sync_count_;
    if (fs_.failing_syncs_ > 0) {
      --fs_.failing_syncs_;
      return Fail(ErrorCode::kUnavailable, "fdatasync " + path_ + ": input/output error");
    }
    node_->durable = node_->current;
    return {};
  }

  Status Truncate(uint64_t size) override {
    std::lock_guard lock(fs_.mutex_);
    if (!AliveLocked() || !fs_.StepLocked()) return Down(path_);
    node_->current.resize(size);
    return {};
  }

  Expected<uint64_t> Size() const override {
    std::lock_guard lock(fs_.mutex_);
    if (!AliveLocked()) return Down(path_);
    return static_cast<uint64_t>(node_->current.size());
  }

 private:
  bool AliveLocked() const { return generation_ == fs_.generation_ && !fs_.crashed_; }

  FaultFileSystem& fs_;
  const std::shared_ptr<FaultFileSystem::Node> node_;
  const std::string path_;
  const uint64_t generation_;
};

bool FaultFileSystem::StepLocked() {
  if (crashed_) return false;
  if (crash_after_ > 0 && --crash_after_ == 0) {
    crashed_ = true;
    return false;
  }
  return true;
}

uint64_t FaultFileSystem::UsedLocked() const {
  uint64_t used = 0;
  for (const auto& [path, node] : files_) used += node->current.size();
  return used;
}

FaultFileSystem::NameBefore FaultFileSystem::BeforeLocked(const std::string& path) const {
  auto file = files_.find(path);
  return {path, file == files_.end() ? nullptr : file->second};
}

Expected<std::unique_ptr<File>> FaultFileSystem::Open(const std::string& path, OpenMode mode) {
  std::lock_guard lock(mutex_);
  if (crashed_) return Down(path);
  auto found = files_.find(path);
  if (found == files_.end()) {
    if (mode != OpenMode::kCreate || !dirs_.contains(ParentDir(path))) {
      return Fail(ErrorCode::kNotFound, "open " + path + ": no such file");
    }
    if (!StepLocked()) return Down(path);
    if (UsedLocked() >= capacity_) {
      return Fail(ErrorCode::kResourceExhausted, "open " + path + ": no space left");
    }
    dirs_[ParentDir(path)].unsynced.push_back({{BeforeLocked(path)}});
    found = files_.emplace(path, std::make_shared<Node>()).first;
  }
  return std::make_unique<FaultFile>(*this, found->second, path);
}

Status FaultFileSystem::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  if (!StepLocked()) return Down(from);
  if (auto file = files_.find(from); file != files_.end()) {
    // One change of the directory of `to`; within one directory that is exact, and durable code
    // renames nothing across directories.
    std::shared_ptr<Node> node = file->second;
    dirs_[ParentDir(to)].unsynced.push_back({{BeforeLocked(to), BeforeLocked(from)}});
    files_.erase(from);
    files_[to] = std::move(node);
    return {};
  }
  if (!dirs_.contains(from)) {
    return Fail(ErrorCode::kNotFound, "rename " + from + ": no such file");
  }
  // Directories move with all below them, durably: journaling file systems order it so, and no code
  // of ours depends on a directory rename being lost.
  const auto moved = [&](const std::string& path) {
    return path == from || path.starts_with(from + "/");
  };
  std::map<std::string, std::shared_ptr<Node>> files;
  for (auto& [path, node] : files_) {
    files[moved(path) ? to + path.substr(from.size()) : path] = node;
  }
  std::map<std::string, Dir> dirs;
  for (auto& [path, dir] : dirs_) {
    Dir copy = dir;
    for (DirChange& change : copy.unsynced) {
      for (NameBefore& name : change.names) {
        if (moved(name.path)) name.path = to + name.path.substr(from.size());
      }
    }
    dirs[moved(path) ? to + path.substr(from.size()) : path] = std::move(copy);
  }
  files_ = std::move(files);
  dirs_ = std::move(dirs);
  return {};
}

Status FaultFileSystem::Remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!StepLocked()) return Down(path);
  if (files_.contains(path)) {
    dirs_[ParentDir(path)].unsynced.push_back({{BeforeLocked(path)}});
    files_.erase(path);
    return {};
  }
  if (!dirs_.contains(path)) {
    return Fail(ErrorCode::kNotFound, "remove " + path + ": no such file");
  }
  const auto below = [&](const auto& entry) { return entry.first.starts_with(path + "/"); };
  if (std::ranges::any_of(files_, below) || std::ranges::any_of(dirs_, below)) {
    return Fail(ErrorCode::kAlreadyExists, "remove " + path + ": directory not empty");
  }
  dirs_.erase(path);
  return {};
}

Expected<std::vector<DirEntry>> FaultFileSystem::List(const std::string& dir) {
  std::lock_guard lock(mutex_);
  if (crashed_) return Down(dir);
  if (!dirs_.contains(dir)) {
    return Fail(ErrorCode::kNotFound, "list " + dir + ": no such directory");
  }
  std::vector<DirEntry> entries;
  for (const auto& [path, node] : files_) {
    if (ParentDir(path) == dir) entries.push_back({path.substr(dir.size() + 1), false});
  }
  for (const auto& [path, entry] : dirs_) {
    if (path != dir && ParentDir(path) == dir)
      entries.push_back({path.substr(dir.size() + 1), true});
  }
  std::ranges::sort(entries, {}, &DirEntry::name);
  return entries;
}

Status FaultFileSystem::MakeDirs(const std::string& dir) {
  std::lock_guard lock(mutex_);
  if (crashed_) return Down(dir);
  for (size_t at = dir.find('/', 1);; at = dir.find('/', at + 1)) {
    dirs_.try_emplace(dir.substr(0, at));
    if (at == std::string::npos) return {};
  }
}

Status FaultFileSystem::SyncDir(const std::string& dir) {
  std::lock_guard lock(mutex_);
  if (!StepLocked()) return Down(dir);
  auto found = dirs_.find(dir);
  if (found == dirs_.end()) {
    return Fail(ErrorCode::kNotFound, "fsync " + dir + ": no such directory");
  }
  found->second.unsynced.clear();
  return {};
}

void FaultFileSystem::CrashNodeLocked(Node& node) {
  const size_t longest = std::max(node.current.size(), node.durable.size());
  const size_t shortest = std::min(node.current.size(), node.durable.size());
  std::vector<uint8_t> after(shortest + random_() % (longest - shortest + 1));
  // Most crashes lose all or nothing of a write; some tear it.
  const uint64_t kind = random_() % 4;
  for (size_t at = 0; at < after.size(); at += kSectorBytes) {
    const size_t end = std::min(at + kSectorBytes, after.size());
    const bool survives = kind == 0 || (kind >= 2 && random_() % 2 == 0);
    const std::vector<uint8_t>& source = survives ? node.current : node.durable;
    for (size_t i = at; i < end && i < source.size(); ++i) after[i] = source[i];
  }
  // What was synced stays, whatever happened to the sectors around it, unless it was overwritten or
  // cut since.
  for (size_t i = 0; i < shortest; ++i) {
    if (node.current[i] == node.durable[i]) after[i] = node.durable[i];
  }
  node.current = after;
  node.durable = std::move(after);
}

void FaultFileSystem::Crash() {
  std::lock_guard lock(mutex_);
  for (auto& [path, dir] : dirs_) {
    // Undo the newest changes, from the end, down to a random point.
    const size_t keep = dir.unsynced.empty() ? 0 : random_() % (dir.unsynced.size() + 1);
    while (dir.unsynced.size() > keep) {
      const DirChange change = std::move(dir.unsynced.back());
      dir.unsynced.pop_back();
      for (const NameBefore& name : change.names) {
        if (name.node) {
          files_[name.path] = name.node;
        } else {
          files_.erase(name.path);
        }
      }
    }
    dir.unsynced.clear();
  }
  for (auto& [path, node] : files_) CrashNodeLocked(*node);
  ++generation_;
  crashed_ = false;
  crash_after_ = 0;
  failing_syncs_ = 0;
  failing_writes_ = 0;
}

void FaultFileSystem::CrashAfter(uint64_t operations) {
  std::lock_guard lock(mutex_);
  crash_after_ = operations;
}

bool FaultFileSystem::crashed() const {
  std::lock_guard lock(mutex_);
  return crashed_;
}

void FaultFileSystem::SetCapacity(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void FaultFileSystem::FailSyncs(int count) {
  std::lock_guard lock(mutex_);
  failing_syncs_ = count;
}

void FaultFileSystem::FailWrites(int count) {
  std::lock_guard lock(mutex_);
  failing_writes_ = count;
}

Status FaultFileSystem::Corrupt(const std::string& path, uint64_t offset, uint8_t xor_mask) {
  std::lock_guard lock(mutex_);
  auto found = files_.find(path);
  if (found == files_.end() || offset >= found->second->current.size()) {
    return Fail(ErrorCode::kNotFound, "corrupt " + path + ": no such byte");
  }
  found->second->current[offset] ^= xor_mask;
  if (offset < found->second->durable.size()) found->second->durable[offset] ^= xor_mask;
  return {};
}

uint64_t FaultFileSystem::sync_count() const {
  std::lock_guard lock(mutex_);
  return sync_count_;
}

}  // namespace edgeloop::fs
