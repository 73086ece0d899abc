#include "runtime/fs/file_system.h"

namespace edgeloop::fs {

std::string ParentDir(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Expected<std::vector<uint8_t>> ReadFile(FileSystem& fs, const std::string& path, uint64_t limit) {
  auto file = fs.Open(path, OpenMode::kRead);
  if (!file) return Fail(file.error());
  auto size = (*file)->Size();
  if (!size) return Fail(size.error());
  if (*size > limit) {
    return Fail(ErrorCode::kResourceExhausted, "read " + path + ": " + std::to_string(*size) +
                                                   " bytes, the limit is " + std::to_string(limit));
  }
  std::vector<uint8_t> bytes(*size);
  auto read = (*file)->ReadAt(0, bytes);
  if (!read) return Fail(read.error());
  bytes.resize(*read);
  return bytes;
}

Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::span<const uint8_t> data) {
  const std::string temporary = path + ".tmp";
  auto file = fs.Open(temporary, OpenMode::kCreate);
  if (!file) return Fail(file.error());
  if (auto status = (*file)->Truncate(0); !status) return status;
  if (auto status = (*file)->WriteAt(0, data); !status) return status;
  if (auto status = (*file)->Sync(); !status) return status;
  file->reset();
  if (auto status = fs.Rename(temporary, path); !status) return status;
  return fs.SyncDir(ParentDir(path));
}

Status RemoveTree(FileSystem& fs, const std::string& path) {
  if (auto entries = fs.List(path)) {
    for (const DirEntry& entry : *entries) {
      const std::string child = path + "/" + entry.name;
      const Status status = entry.is_directory ? RemoveTree(fs, child) : fs.Remove(child);
      if (!status) return status;
    }
  } else if (entries.error().code() == ErrorCode::kNotFound) {
    return {};
  } else {
    return Fail(entries.error());
  }
  return fs.Remove(path);
}

}  // namespace edgeloop::fs
