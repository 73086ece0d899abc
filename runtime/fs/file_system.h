// The file system as durable code sees it: a small seam, so that a test can crash it, tear its
// writes or fill its disk (fault_file_system.h). Production runs on PosixFileSystem().
//
// Durability rules every implementation keeps:
//   - WriteAt() is durable only after Sync() of the same file returned success.
//   - Open(kCreate), Rename() and Remove() are durable only after SyncDir() of the directory.
//   - After a failed Sync() the bytes written since the last good one are undefined; truncate to
//   the
//     last durable size before writing again.
//
// Errors: kNotFound (no such file), kAlreadyExists, kPermissionDenied, kResourceExhausted (disk or
// quota full, too many open files), kUnavailable (input/output error), kInternal (anything else).
// Each message names the operation and the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::fs {

class File {
 public:
  virtual ~File() = default;

  // Fills `out` from `offset`; returns the bytes read, fewer than asked only at the end of the
  // file.
  virtual Expected<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) const = 0;
  // Writes all of `data`, or fails; after a failure any part of it may be in the file.
  virtual Status WriteAt(uint64_t offset, std::span<const uint8_t> data) = 0;
  // fdatasync: everything written before is durable, the size included.
  virtual Status Sync() = 0;
  virtual Status Truncate(uint64_t size) = 0;
  virtual Expected<uint64_t> Size() const = 0;
};

enum class OpenMode {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // read and write; created empty with mode 0600 when missing
};

struct DirEntry {
  std::string name;
  bool is_directory = false;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Expected<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Replaces `to` when it exists; works for directories too (`to` must then be missing or empty).
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Removes a file or an empty directory.
  virtual Status Remove(const std::string& path) = 0;
  // Sorted by name, without "." and "..".
  virtual Expected<std::vector<DirEntry>> List(const std::string& dir) = 0;
  // Creates the directory (mode 0700) and its parents; success when it exists already.
  virtual Status MakeDirs(const std::string& dir) = 0;
  virtual Status SyncDir(const std::string& dir) = 0;
};

// The operating system's. Stateless and thread-safe.
FileSystem& PosixFileSystem();

// "a/b/c" -> "a/b"; "c" -> ".".
std::string ParentDir(const std::string& path);

// The whole file, refused with kResourceExhausted when larger than `limit`.
Expected<std::vector<uint8_t>> ReadFile(FileSystem& fs, const std::string& path, uint64_t limit);

// After success, and after a crash at any point, `path` holds the old bytes or the new, never a
// mix: writes "<path>.tmp", syncs it, renames it over `path`, syncs the directory.
Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::span<const uint8_t> data);

// Removes `path` and all below it; success when it is missing.
Status RemoveTree(FileSystem& fs, const std::string& path);

}  // namespace edgeloop::fs
