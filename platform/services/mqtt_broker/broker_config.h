// Configuration of mosquitto as Edgeloop's MQTT broker: mutual TLS 1.3, the certificate's name is
// the user, and nobody but a gateway itself may speak as that gateway.
#pragma once

#include <string>

#include "contracts/error/error.h"
#include "runtime/tls/tls.h"

namespace edgeloop::mqtt_broker {

struct BrokerOptions {
  std::string host = "127.0.0.1";  // address to listen on
  int port = 8883;
  tls::Files tls;  // of the broker
  std::string group_id = "edgeloop";
};

// mosquitto.conf and the access control list it names, each as text.
Expected<std::string> BrokerConfig(const BrokerOptions& options, const std::string& acl_path);
Expected<std::string> BrokerAcl(const std::string& group_id);

// Writes mosquitto.conf and mosquitto.acl into an existing directory and returns the path of the
// first: start `mosquitto -c <path>`.
Expected<std::string> WriteBrokerFiles(const BrokerOptions& options, const std::string& directory);

}  // namespace edgeloop::mqtt_broker
