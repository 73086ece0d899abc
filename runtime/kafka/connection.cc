#include "runtime/kafka/connection.h"

#include "runtime/log/log.h"

namespace edgeloop::kafka {
namespace {

// librdkafka's own lines. It retries by itself, so nothing here is worse than a warning.
void OnLog(const rd_kafka_t*, int level, const char* facility, const char* text) {
  constexpr int kSyslogWarning = 4;
  const auto ours = level <= kSyslogWarning ? log::Level::kWarning : log::Level::kDebug;
  log::Write(ours, "kafka client", {{"facility", facility}, {"text", text}});
}

// The same once more, for programs; what matters of it comes back from the calls.
void OnError(rd_kafka_t*, int, const char* reason, void*) {
  log::Debug("kafka connection", {{"reason", reason}});
}

ErrorCode CodeOf(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return ErrorCode::kTimeout;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return ErrorCode::kResourceExhausted;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return ErrorCode::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return ErrorCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return ErrorCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
      return ErrorCode::kCancelled;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
      return ErrorCode::kInvalidArgument;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Error ErrorOf(rd_kafka_resp_err_t code, std::string_view what) {
  return Error(CodeOf(code), std::string(what) + ": " + rd_kafka_err2str(code));
}

Settings::Settings(const ConnectionOptions& connection) : conf_(rd_kafka_conf_new()) {
  Set("bootstrap.servers", connection.bootstrap);
  if (!connection.client_id.empty()) Set("client.id", connection.client_id);
  if (!connection.tls.ca.empty()) {
    Set("security.protocol", "ssl");
    Set("ssl.ca.location", connection.tls.ca);
    Set("ssl.certificate.location", connection.tls.cert);
    Set("ssl.key.location", connection.tls.key);
    Set("enable.ssl.certificate.verification", "true");
    Set("ssl.endpoint.identification.algorithm", "https");
  }
  Set("broker.address.family", "v4");
  Set("socket.nagle.disable", "true");
  Set("reconnect.backoff.max.ms", 1'000);
  // How long a topic that was just created may go unnoticed.
  Set("topic.metadata.refresh.interval.ms", 5'000);
  Set("log.connection.close", "false");
  rd_kafka_conf_set_log_cb(conf_, &OnLog);
  rd_kafka_conf_set_error_cb(conf_, &OnError);
}

Settings::~Settings() {
  if (conf_ != nullptr) rd_kafka_conf_destroy(conf_);
}

void Settings::Set(const char* name, const std::string& value) {
  char reason[256];
  const auto result = rd_kafka_conf_set(conf_, name, value.c_str(), reason, sizeof reason);
  if (result != RD_KAFKA_CONF_OK && status_) {
    status_ = Fail(ErrorCode::kInvalidArgument, std::string("kafka: ") + reason);
  }
}

Expected<HandlePtr> Settings::Create(rd_kafka_type_t type) {
  if (!status_) return Fail(status_.error());
  char reason[256];
  HandlePtr handle(rd_kafka_new(type, conf_, reason, sizeof reason));
  // Bad certificates and keys end here.
  if (!handle) return Fail(ErrorCode::kInvalidArgument, std::string("kafka: ") + reason);
  conf_ = nullptr;  // now the handle's
  return handle;
}

}  // namespace edgeloop::kafka
