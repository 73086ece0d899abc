#include "cli/site/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace edgeloop::site {
namespace {

struct flock WholeFile() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

std::string Layout::At(std::string_view folder, std::string_view name, std::string_view end) const {
  return root_ + "/" + std::string(folder) + "/" + std::string(name) + std::string(end);
}

tls::Files Layout::Identity(std::string_view name) const {
  const std::string dir = Certs(name);
  return {.ca = dir + "/ca.pem", .cert = dir + "/cert.pem", .key = dir + "/key.pem"};
}

Status MakePrivateDirectory(const std::string& path) {
  const std::filesystem::path full(path);
  if (const auto parent = full.parent_path(); !parent.empty() && parent != full) {
    std::error_code error;
    if (!std::filesystem::exists(parent, error)) {
      if (Status made = MakePrivateDirectory(parent.string()); !made) return made;
    }
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(ErrorCode::kPermissionDenied, "cannot make the directory " + path + ": " +
                                                  std::strerror(errno) +
                                                  "; choose another with --state DIR");
  }
  return {};
}

Status Layout::Create() {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(root_, error);
  if (!error) root_ = absolute.lexically_normal().string();
  while (root_.size() > 1 && root_.ends_with('/')) root_.pop_back();
  if (Status made = MakePrivateDirectory(root_); !made) return made;
  struct stat info;
  if (stat(root_.c_str(), &info) != 0 || info.st_uid != geteuid()) {
    return Fail(ErrorCode::kPermissionDenied,
                root_ + " belongs to another user: choose another with --state DIR");
  }
  if (chmod(root_.c_str(), 0700) != 0) {
    return Fail(ErrorCode::kPermissionDenied, root_ + ": " + std::strerror(errno));
  }
  for (const char* folder : {"config", "data", "log", "run", "certs"}) {
    if (Status made = MakePrivateDirectory(root_ + "/" + folder); !made) return made;
  }
  return {};
}

std::string DefaultStateDir() {
  const char* chosen = std::getenv("EDGELOOP_STATE");
  return chosen && *chosen ? chosen : ".edgeloop";
}

Expected<StateLock> StateLock::Take(const Layout& layout) {
  const int fd = open(layout.LockFile().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Fail(ErrorCode::kPermissionDenied, layout.LockFile() + ": " + std::strerror(errno));
  }
  StateLock lock(fd);
  struct flock whole = WholeFile();
  if (fcntl(fd, F_SETLK, &whole) != 0) {
    const auto holder = LockHolder(layout);
    return Fail(ErrorCode::kAlreadyExists,
                "the state directory " + layout.root() + " is in use by process " +
                    (holder ? std::to_string(*holder) : std::string("?")) +
                    ": stop it with `edgeloop down --state " + layout.root() +
                    "`, or choose another with --state DIR");
  }
  return lock;
}

StateLock::StateLock(StateLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }

StateLock::~StateLock() {
  if (fd_ >= 0) close(fd_);
}

Expected<int> LockHolder(const Layout& layout) {
  const int fd = open(layout.LockFile().c_str(), O_RDWR | O_CLOEXEC);
  struct flock whole = WholeFile();
  const bool asked = fd >= 0 && fcntl(fd, F_GETLK, &whole) == 0;
  if (fd >= 0) close(fd);
  if (!asked || whole.l_type == F_UNLCK) {
    return Fail(ErrorCode::kNotFound, "nothing runs in the state directory " + layout.root() +
                                          ": start it with `edgeloop up`, or name another with "
                                          "--state DIR");
  }
  return static_cast<int>(whole.l_pid);
}

}  // namespace edgeloop::site
