#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/fs/file_system.h"

namespace edgeloop::fs {
namespace {

std::unexpected<Error> FailErrno(int error, const char* operation, const std::string& path) {
  ErrorCode code = ErrorCode::kInternal;
  switch (error) {
    case ENOENT:
      code = ErrorCode::kNotFound;
      break;
    case EEXIST:
    case ENOTEMPTY:
      code = ErrorCode::kAlreadyExists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = ErrorCode::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      code = ErrorCode::kResourceExhausted;
      break;
    case EIO:
      code = ErrorCode::kUnavailable;
      break;
    default:
      break;
  }
  return Fail(code, std::string(operation) + " " + path + ": " + std::strerror(error));
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }

  Expected<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) const override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n =
          ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return FailErrno(errno, "read", path_);
      }
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status WriteAt(uint64_t offset, std::span<const uint8_t> data) override {
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t n =
          ::pwrite(fd_, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
      if (n < 0) {
        if (errno == EINTR) continue;
        return FailErrno(errno, "write", path_);
      }
      done += static_cast<size_t>(n);
    }
    return {};
  }

  Status Sync() override {
    if (::fdatasync(fd_) != 0) return FailErrno(errno, "fdatasync", path_);
    return {};
  }

  Status Truncate(uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
      return FailErrno(errno, "truncate", path_);
    }
    return {};
  }

  Expected<uint64_t> Size() const override {
    struct stat st {};
    if (::fstat(fd_, &st) != 0) return FailErrno(errno, "stat", path_);
    return static_cast<uint64_t>(st.st_size);
  }

 private:
  const int fd_;
  const std::string path_;
};

class PosixFs final : public FileSystem {
 public:
  Expected<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    flags |= mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
    if (mode == OpenMode::kCreate) flags |= O_CREAT;
    const int fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0) return FailErrno(errno, "open", path);
    return std::make_unique<PosixFile>(fd, path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return FailErrno(errno, "rename", from);
    return {};
  }

  Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return FailErrno(errno, "remove", path);
    return {};
  }

  Expected<std::vector<DirEntry>> List(const std::string& dir) override {
    DIR* handle = ::opendir(dir.c_str());
    if (handle == nullptr) return FailErrno(errno, "list", dir);
    std::vector<DirEntry> entries;
    errno = 0;
    while (const dirent* entry = ::readdir(handle)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        bool is_directory = entry->d_type == DT_DIR;
        if (entry->d_type == DT_UNKNOWN) {
          struct stat st {};
          is_directory = ::stat((dir + "/" + name).c_str(), &st) == 0 && S_ISDIR(st.st_mode);
        }
        entries.push_back({name, is_directory});
      }
      errno = 0;
    }
    const int error = errno;
    ::closedir(handle);
    if (error != 0) return FailErrno(error, "list", dir);
    std::ranges::sort(entries, {}, &DirEntry::name);
    return entries;
  }

  Status MakeDirs(const std::string& dir) override {
    for (size_t at = dir.find('/', 1);; at = dir.find('/', at + 1)) {
      const std::string prefix = dir.substr(0, at);
      if (::mkdir(prefix.c_str(), 0700) != 0 && errno != EEXIST) {
        return FailErrno(errno, "mkdir", prefix);
      }
      if (at == std::string::npos) break;
    }
    struct stat st {};
    if (::stat(dir.c_str(), &st) != 0) return FailErrno(errno, "stat", dir);
    if (!S_ISDIR(st.st_mode)) return FailErrno(ENOTDIR, "mkdir", dir);
    return {};
  }

  Status SyncDir(const std::string& dir) override {
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return FailErrno(errno, "open", dir);
    const int result = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (result != 0) return FailErrno(error, "fsync", dir);
    return {};
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static PosixFs instance;
  return instance;
}

}  // namespace edgeloop::fs
