// For tests: a throw-away CA and certificates below a temporary directory, removed at the end.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tls/tls.h"

namespace edgeloop::tls {

// Throws std::runtime_error when something fails: a test cannot go on without.
class TestCa {
 public:
  TestCa();
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  // A key and a certificate for client and server, with subjectAltName 127.0.0.1 and localhost.
  // The same name and unit give the same files again. A negative validity has already expired.
  Files Issue(std::string_view common_name, std::string_view organizational_unit = "service",
              int valid_s = 3600);

  const std::string& directory() const { return directory_; }
  std::string ca_path() const { return directory_ + "/ca.pem"; }

 private:
  struct Authority;
  std::string directory_;
  std::unique_ptr<Authority> authority_;
};

}  // namespace edgeloop::tls
