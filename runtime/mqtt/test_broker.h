// For tests: a real mosquitto with mutual TLS 1.3 on a free port; the user is the certificate's CN.
#pragma once

#include <optional>
#include <string>

#include "runtime/process/child.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::mqtt {

// Throws std::runtime_error when the broker does not come up: a test cannot go on without.
class TestBroker {
 public:
  // Keeps its files in the CA's directory. `acl` is mosquitto's acl_file; empty: all is allowed.
  explicit TestBroker(tls::TestCa& ca, const std::string& acl = "");

  int port() const { return port_; }
  void Kill();     // as kill -9
  void Restart();  // on the same port
  const std::string& log_path() const { return log_path_; }

 private:
  std::string config_path_;
  std::string log_path_;
  int port_ = 0;
  std::optional<process::Child> child_;
};

}  // namespace edgeloop::mqtt
