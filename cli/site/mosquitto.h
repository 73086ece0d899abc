// mosquitto's configuration: mutual TLS only, the certificate's CN is the user, and each user may
// do only what its part needs.
#pragma once

#include <string>

#include "cli/site/access.h"
#include "contracts/error/error.h"

namespace edgeloop::site {

struct MosquittoFiles {
  std::string config;
  std::string acl;
};
// The texts; the configuration refers to `acl_path`.
MosquittoFiles MosquittoConfig(const Access& access, const std::string& acl_path);

}  // namespace edgeloop::site
