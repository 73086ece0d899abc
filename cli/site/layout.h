// Where things lie below the one state directory of a machine.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "contracts/error/error.h"
#include "runtime/tls/tls.h"

namespace edgeloop::site {

class Layout {
 public:
  explicit Layout(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string LockFile() const { return root_ + "/lock"; }
  std::string PortsFile() const { return root_ + "/ports.json"; }
  std::string StatusFile() const { return root_ + "/run/status.json"; }
  std::string Config(std::string_view name) const { return At("config", name, ".yaml"); }
  std::string Data(std::string_view name) const { return At("data", name, ""); }
  std::string Log(std::string_view name) const { return At("log", name, ".log"); }
  std::string Run(std::string_view name) const { return At("run", name, ""); }
  std::string Certs(std::string_view name) const { return At("certs", name, ""); }
  // The identity of a service, a gateway or the local operator.
  tls::Files Identity(std::string_view name) const;

  // Makes the directories, readable by their owner alone, and makes the root absolute.
  Status Create();

 private:
  std::string At(std::string_view folder, std::string_view name, std::string_view end) const;
  std::string root_;
};

// Makes a directory and its parents, 0700 where it made them.
Status MakePrivateDirectory(const std::string& path);

// ./.edgeloop, or what EDGELOOP_STATE says.
std::string DefaultStateDir();

// One `edgeloop up` a state directory: a lock that the kernel drops when its holder dies.
class StateLock {
 public:
  static Expected<StateLock> Take(const Layout& layout);
  StateLock(StateLock&& other) noexcept;
  StateLock& operator=(StateLock&&) = delete;
  ~StateLock();

 private:
  explicit StateLock(int fd) : fd_(fd) {}
  int fd_;
};

// The process that holds the lock; kNotFound when none does.
Expected<int> LockHolder(const Layout& layout);

}  // namespace edgeloop::site
