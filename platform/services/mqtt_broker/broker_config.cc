#include "platform/services/mqtt_broker/broker_config.h"

#include <pwd.h>
#include <unistd.h>

#include "contracts/ids/ids.h"
#include "contracts/sparkplug/payload.h"
#include "runtime/process/daemon.h"

namespace edgeloop::mqtt_broker {
namespace {

// A value reaches to the end of its line: a line end inside would add options.
Status CheckValue(const std::string& what, const std::string& value) {
  if (value.empty() || value.find_first_of("\r\n") != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument,
                "mosquitto configuration: " + what + " is empty or has a line end in it");
  }
  return {};
}

std::string UserName() {
  const passwd* user = ::getpwuid(::geteuid());
  return user != nullptr ? user->pw_name : "mosquitto";
}

}  // namespace

Expected<std::string> BrokerConfig(const BrokerOptions& options, const std::string& acl_path) {
  for (const auto& [what, value] :
       {std::pair<const char*, const std::string&>{"host", options.host},
        {"tls.ca", options.tls.ca},
        {"tls.cert", options.tls.cert},
        {"tls.key", options.tls.key},
        {"acl_file", acl_path}}) {
    if (auto ok = CheckValue(what, value); !ok) return Fail(ok.error());
  }
  std::string text;
  const auto line = [&](const char* key, const std::string& value) {
    text.append(key).append(" ").append(value).append("\n");
  };
  text += "# Written by edgeloop; changes are overwritten.\n";
  line("listener", std::to_string(options.port) + " " + options.host);
  line("cafile", options.tls.ca);
  line("certfile", options.tls.cert);
  line("keyfile", options.tls.key);
  line("tls_version", "tlsv1.3");
  line("require_certificate", "true");
  line("use_identity_as_username", "true");
  // The client id is the user too: nobody can take over another's session.
  line("use_username_as_clientid", "true");
  line("allow_anonymous", "false");
  line("acl_file", acl_path);
  // Started by root, mosquitto would become "mosquitto", who cannot read the key.
  line("user", UserName());
  line("set_tcp_nodelay", "true");
  // Devices keep what is not acknowledged: the broker needs no memory over a restart.
  line("persistence", "false");
  line("message_size_limit", std::to_string(sparkplug::kMaxPayloadBytes));
  line("max_inflight_messages", "100");
  line("max_queued_messages", "1000");
  line("max_queued_bytes", std::to_string(16u << 20));
  line("max_connections", "4096");
  line("sys_interval", "0");
  line("log_dest", "stderr");
  for (const char* type : {"error", "warning", "notice"}) line("log_type", type);
  return text;
}

Expected<std::string> BrokerAcl(const std::string& group_id) {
  if (!IsValidId(group_id)) {
    return Fail(ErrorCode::kInvalidArgument, "group '" + group_id.substr(0, 64) +
                                                 "' is not 1 to 48 characters of a-z, 0-9, '-'");
  }
  const std::string base = "spBv1.0/" + group_id + "/";
  std::string text =
      "# Written by edgeloop; changes are overwritten. %u is the certificate's common name.\n"
      "# A gateway speaks as itself, and hears commands to itself. Message types are listed, "
      "since\n"
      "# '+' would let it send commands too.\n";
  for (const char* type : {"NBIRTH", "NDEATH", "NDATA"}) {
    text += "pattern write " + base + type + "/%u\n";
  }
  for (const char* type : {"DBIRTH", "DDEATH", "DDATA"}) {
    text += "pattern write " + base + type + "/%u/+\n";
  }
  text += "pattern read " + base + "NCMD/%u\n";
  text += "pattern read " + base + "DCMD/%u/+\n";
  text += "pattern read spBv1.0/STATE/#\n";
  text += "\nuser bridge\ntopic readwrite spBv1.0/#\n";
  return text;
}

Expected<std::string> WriteBrokerFiles(const BrokerOptions& options, const std::string& directory) {
  const std::string config_path = directory + "/mosquitto.conf";
  const std::string acl_path = directory + "/mosquitto.acl";
  auto config = BrokerConfig(options, acl_path);
  if (!config) return Fail(config.error());
  auto acl = BrokerAcl(options.group_id);
  if (!acl) return Fail(acl.error());
  if (auto ok = process::WriteFileAtomically(acl_path, *acl, 0600); !ok) return Fail(ok.error());
  if (auto ok = process::WriteFileAtomically(config_path, *config, 0600); !ok) {
    return Fail(ok.error());
  }
  return config_path;
}

}  // namespace edgeloop::mqtt_broker
