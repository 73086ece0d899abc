// How the local operator reaches what runs in a state directory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/site/layout.h"
#include "cli/site/ports.h"
#include "contracts/error/error.h"
#include "runtime/http/client.h"
#include "runtime/kafka/kafka.h"

namespace edgeloop::site {

inline constexpr std::string_view kOperatorName = "operator";

struct Access {
  Layout layout{""};
  Ports ports;
  std::vector<std::string> gateways;  // ids

  int ListenPort(std::string_view service) const;
  int HealthPort(std::string_view service) const;
  kafka::ConnectionOptions Stream(std::string_view client_id) const;
  Expected<std::unique_ptr<http::Client>> Client(int port, int timeout_ms = 10'000) const;
  // GET /readyz; for mosquitto, which has none, whether its port answers.
  Status Ready(std::string_view process) const;
};

// Of a platform that runs: kNotFound with what to do when none does.
Expected<Access> OpenAccess(const std::string& state_dir);

}  // namespace edgeloop::site
