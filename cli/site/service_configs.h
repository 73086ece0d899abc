// The configuration files of the daemons, as `edgeloop up` writes them.
#pragma once

#include <string>
#include <vector>

#include "cli/site/access.h"
#include "cli/site/options.h"
#include "contracts/error/error.h"
#include "things/gateway/sensors/recordings.h"

namespace edgeloop::site {

struct ServiceConfigs {
  const Options& options;
  const Access& access;
  std::string signing_key;     // private, of mlops
  std::string signing_public;  // what registry and gateways trust
  std::string module_socket;

  std::string Identity() const;
  std::string Stream() const;
  std::string Registry(const std::string& key_id) const;
  std::string Bridge() const;
  std::string Module() const;
  std::string Sidecar() const;
  std::string Mlops(const sensors::RateAndChannels& format) const;
  std::string Gateway(const GatewayOptions& gateway, const std::string& factory_model) const;

 private:
  std::string Log() const;
  std::string Common(const std::string& name) const;
  std::string Common(const std::string& name, const tls::Files& files) const;
  std::string Listen(const std::string& name) const;
};

}  // namespace edgeloop::site
