// A small durable map of strings: topics, consumer-group offsets, producer ids. One file of
// checksummed changes, rewritten whole (atomically) when most of it is history. Format:
// docs/spec/stream-log.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/log/partition_log.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::stream {

class MetaJournal {
 public:
  static constexpr size_t kMaxEntryBytes = 64 * 1024;  // key and value together

  // The directory of `path` exists.
  static Expected<std::unique_ptr<MetaJournal>> Open(fs::FileSystem& fs, std::string path,
                                                     RecoveryReport* report);

  // Changes are written by Sync(), all or (after a crash) a prefix of them; a failed Sync() takes
  // them back.
  void Put(std::string key, std::string value);
  void Delete(const std::string& key);
  Status Sync();
  bool unsynced() const { return !staged_.empty(); }

  // The durable state.
  const std::map<std::string, std::string>& entries() const { return entries_; }
  // True when acknowledged changes were lost to damage: keep what the entries do not explain.
  bool lost_entries() const { return lost_entries_; }

 private:
  struct Change {
    bool remove = false;
    std::string key;
    std::string value;
  };

  MetaJournal(fs::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  Status Load(RecoveryReport* report);
  Status Rewrite();
  void Apply(const Change& change);
  static void Encode(const Change& change, uint64_t durable_end, std::vector<uint8_t>* out);

  fs::FileSystem& fs_;
  const std::string path_;
  std::unique_ptr<fs::File> file_;
  uint64_t durable_ = 0;     // bytes of the file
  uint64_t live_bytes_ = 0;  // that a rewrite would need
  bool dirty_tail_ = false;
  bool lost_entries_ = false;
  std::vector<Change> staged_;
  std::map<std::string, std::string> entries_;
};

}  // namespace edgeloop::stream
