// Gives each process of this machine its own certificate: key made here, signed by our CA against a
// one-time token.
#pragma once

#include <string>

#include "cli/site/layout.h"
#include "contracts/error/error.h"

namespace edgeloop::site {

enum class Unit { kService, kDevice, kOperator };

struct IdentityAuthority {
  std::string binary;     // edgeloop-identity
  std::string state_dir;  // where it keeps the CA
  int port = 0;           // of its enrolment listener on 127.0.0.1
};

// Makes the CA when there is none.
Status InitAuthority(const IdentityAuthority& authority);
std::string AuthorityCertificate(const IdentityAuthority& authority);

// Makes certs/<name>/{key,cert,ca}.pem unless a certificate that is good for a while is there.
Status Enrol(const IdentityAuthority& authority, const Layout& layout, const std::string& name,
             Unit unit);

}  // namespace edgeloop::site
