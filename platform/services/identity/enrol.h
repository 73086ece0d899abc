// The other side: a new identity for this machine, with a one-time token.
#pragma once

#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/tls/tls.h"

namespace edgeloop::identity {

struct EnrolOptions {
  std::string host = "127.0.0.1";
  int port = 0;
  // One of the two says whom to trust: the root certificate, or the SHA-256 of it in hex.
  std::string ca_path;
  std::string ca_fingerprint;
  std::string name;  // common name
  std::string ou;    // service, device or operator
  std::string token;
  std::vector<std::string> hosts = {"localhost", "127.0.0.1"};  // subjectAltName
  std::string out_dir;                                          // must exist
};

// Makes a key in out_dir/key.pem (0600; it never leaves), asks for a certificate, and writes
// out_dir/ca.pem and, last, out_dir/cert.pem. kAlreadyExists when there is a cert.pem: an identity
// is not overwritten. After a failure it can be called again.
Expected<tls::Files> Enrol(const EnrolOptions& options);

}  // namespace edgeloop::identity
