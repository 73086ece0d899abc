// Which TCP port each listener of this machine has: chosen free once, then remembered, so that the
// addresses stay over restarts.
#pragma once

#include <map>
#include <string>

#include "contracts/error/error.h"

namespace edgeloop::site {

class Ports {
 public:
  // An absent file is an empty set.
  static Expected<Ports> Load(const std::string& path);

  // The port of this name ("stream.listen"); chosen when it has none.
  Expected<int> Choose(const std::string& name);
  // 0 when unknown.
  int Get(const std::string& name) const;
  // Forgets ports that another program has taken meanwhile. Before anything of ours runs.
  void ForgetTaken();
  Status Save(const std::string& path) const;

 private:
  std::map<std::string, int> ports_;
};

}  // namespace edgeloop::site
