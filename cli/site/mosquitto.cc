#include "cli/site/mosquitto.h"

#include <pwd.h>
#include <unistd.h>

namespace edgeloop::site {

MosquittoFiles MosquittoConfig(const Access& access, const std::string& acl_path) {
  const tls::Files files = access.layout.Identity("mosquitto");
  std::string config = "listener " + std::to_string(access.ListenPort("mosquitto")) +
                       " 127.0.0.1\n"
                       "cafile " +
                       files.ca + "\ncertfile " + files.cert + "\nkeyfile " + files.key +
                       "\n"
                       "tls_version tlsv1.3\n"
                       "require_certificate true\n"
                       "use_identity_as_username true\n"
                       "allow_anonymous false\n"
                       "acl_file " +
                       acl_path +
                       "\n"
                       "persistence false\n"
                       "message_size_limit 1048576\n"
                       "max_queued_messages 1000\n"
                       "set_tcp_nodelay true\n"
                       "log_dest stderr\nlog_type error\nlog_type warning\n"
                       "log_timestamp_format %Y-%m-%dT%H:%M:%S\n";
  // Started as root it would become "mosquitto", who may not read the state directory.
  if (geteuid() == 0) config += "user root\n";
  const std::string acl =
      "user bridge\n"
      "topic readwrite spBv1.0/#\n\n"
      // Message types one by one: a gateway must not write NCMD or DCMD, not even its own.
      "pattern write spBv1.0/edgeloop/NBIRTH/%u\n"
      "pattern write spBv1.0/edgeloop/NDEATH/%u\n"
      "pattern write spBv1.0/edgeloop/NDATA/%u\n"
      "pattern write spBv1.0/edgeloop/DBIRTH/%u/#\n"
      "pattern write spBv1.0/edgeloop/DDEATH/%u/#\n"
      "pattern write spBv1.0/edgeloop/DDATA/%u/#\n"
      "pattern read spBv1.0/edgeloop/NCMD/%u\n"
      "pattern read spBv1.0/edgeloop/DCMD/%u/#\n"
      "pattern read spBv1.0/STATE/#\n";
  return {.config = config, .acl = acl};
}

}  // namespace edgeloop::site
