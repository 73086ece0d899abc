// An in-memory file system for tests of durable code: it forgets what was not synced when the
// machine "crashes", tears writes, fills up, and fails on demand. For tests only; single-threaded
// use per file, the structure itself is guarded by a mutex.
//
// The model of a crash: for each file, the bytes written since its last Sync() survive in an
// arbitrary subset of 512-byte sectors (a torn write may keep a later sector and lose an earlier
// one), the size is somewhere between the synced size and the last one, lost sectors read as zeros
// or as the older bytes. For each directory, the changes (create, rename, remove) since its last
// SyncDir() survive up to an arbitrary point in their order.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "runtime/fs/file_system.h"

namespace edgeloop::fs {

class FaultFileSystem final : public FileSystem {
 public:
  explicit FaultFileSystem(uint64_t seed) : random_(seed) {}

  Expected<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Expected<std::vector<DirEntry>> List(const std::string& dir) override;
  Status MakeDirs(const std::string& dir) override;
  Status SyncDir(const std::string& dir) override;

  // The power fails now: open files become unusable (kUnavailable), unsynced state is lost as
  // described above. The file system can be used again at once, as after a reboot.
  void Crash();

  // The n-th operation from now that changes something (write, sync, truncate, create, rename,
  // remove, sync dir; 1 = the next) crashes the machine: it fails, as does all that follows until
  // Crash() "reboots" it. 0 disarms.
  void CrashAfter(uint64_t operations);
  bool crashed() const;

  // Bytes that all files together may hold; writes beyond fail with kResourceExhausted, possibly
  // after a part of them was written.
  void SetCapacity(uint64_t bytes);
  // The next `count` Sync() calls fail with kUnavailable, and the bytes they should have made
  // durable may or may not be.
  void FailSyncs(int count);
  // The next `count` WriteAt() calls fail with kUnavailable after writing a part.
  void FailWrites(int count);

  // Bit rot: changes one byte of the file, durably.
  Status Corrupt(const std::string& path, uint64_t offset, uint8_t xor_mask);

  uint64_t sync_count() const;

 private:
  friend class FaultFile;
  struct Node {
    std::vector<uint8_t> current;
    std::vector<uint8_t> durable;
  };
  struct NameBefore {
    std::string path;
    std::shared_ptr<Node> node;  // what the name meant before: null when missing
  };
  struct DirChange {
    std::vector<NameBefore> names;  // two for a rename
  };
  struct Dir {
    std::vector<DirChange> unsynced;  // oldest first
  };

  bool StepLocked();  // counts one changing operation; false when the machine is down
  NameBefore BeforeLocked(const std::string& path) const;
  void CrashNodeLocked(Node& node);
  uint64_t UsedLocked() const;

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<std::string, std::shared_ptr<Node>> files_;
  std::map<std::string, Dir> dirs_;
  uint64_t generation_ = 0;   // number of crashes; older open files are dead
  uint64_t crash_after_ = 0;  // 0: disarmed
  bool crashed_ = false;
  uint64_t capacity_ = UINT64_MAX;
  int failing_syncs_ = 0;
  int failing_writes_ = 0;
  uint64_t sync_count_ = 0;
};

}  // namespace edgeloop::fs
