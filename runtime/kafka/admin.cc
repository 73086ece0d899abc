#include "runtime/kafka/connection.h"

namespace edgeloop::kafka {
namespace {

template <typename T, void (*Destroy)(T*)>
struct Deleter {
  void operator()(T* object) const { Destroy(object); }
};
using TopicPtr =
    std::unique_ptr<rd_kafka_NewTopic_t, Deleter<rd_kafka_NewTopic_t, &rd_kafka_NewTopic_destroy>>;
using QueuePtr =
    std::unique_ptr<rd_kafka_queue_t, Deleter<rd_kafka_queue_t, &rd_kafka_queue_destroy>>;
using EventPtr =
    std::unique_ptr<rd_kafka_event_t, Deleter<rd_kafka_event_t, &rd_kafka_event_destroy>>;
using AdminOptionsPtr =
    std::unique_ptr<rd_kafka_AdminOptions_t,
                    Deleter<rd_kafka_AdminOptions_t, &rd_kafka_AdminOptions_destroy>>;

// How much longer than the request itself to wait for librdkafka to report its end.
constexpr int kGraceMs = 1'000;

}  // namespace

struct Admin::Impl {
  HandlePtr handle;
};

Admin::Admin(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Admin::~Admin() = default;

Expected<std::unique_ptr<Admin>> Admin::Create(ConnectionOptions connection) {
  Settings settings(connection);
  auto handle = settings.Create(RD_KAFKA_PRODUCER);
  if (!handle) return Fail(handle.error());
  auto impl = std::make_unique<Impl>();
  impl->handle = std::move(*handle);
  return std::unique_ptr<Admin>(new Admin(std::move(impl)));
}

Status Admin::CreateTopic(std::string_view topic, int partitions,
                          const std::vector<std::pair<std::string, std::string>>& config,
                          std::chrono::milliseconds timeout) {
  const std::string name(topic);
  const std::string what = "create topic '" + name + "'";
  const int timeout_ms = static_cast<int>(timeout.count());
  char reason[256];
  const TopicPtr wanted(rd_kafka_NewTopic_new(name.c_str(), partitions, /*replication_factor=*/-1,
                                              reason, sizeof reason));
  if (!wanted) return Fail(ErrorCode::kInvalidArgument, what + ": " + reason);
  for (const auto& [key, value] : config) {
    rd_kafka_NewTopic_set_config(wanted.get(), key.c_str(), value.c_str());
  }
  const AdminOptionsPtr options(
      rd_kafka_AdminOptions_new(impl_->handle.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  for (const auto code :
       {rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms, reason, sizeof reason),
        rd_kafka_AdminOptions_set_operation_timeout(options.get(), timeout_ms, reason,
                                                    sizeof reason)}) {
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return Fail(ErrorCode::kInvalidArgument, what + ": " + reason);
    }
  }
  const QueuePtr queue(rd_kafka_queue_new(impl_->handle.get()));
  rd_kafka_NewTopic_t* topics[] = {wanted.get()};
  rd_kafka_CreateTopics(impl_->handle.get(), topics, 1, options.get(), queue.get());
  const EventPtr event(rd_kafka_queue_poll(queue.get(), timeout_ms + kGraceMs));
  if (!event) return Fail(ErrorCode::kTimeout, what + ": no answer");
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Fail(ErrorOf(code, what));
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      continue;
    }
    return Fail(ErrorOf(code, what));
  }
  return {};
}

Expected<std::vector<TopicInfo>> Admin::ListTopics(std::chrono::milliseconds timeout) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto code = rd_kafka_metadata(impl_->handle.get(), /*all_topics=*/1, nullptr, &raw,
                                      static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "list topics"));
  const MetadataPtr metadata(raw);
  std::vector<TopicInfo> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    topics.push_back({metadata->topics[i].topic, metadata->topics[i].partition_cnt});
  }
  return topics;
}

}  // namespace edgeloop::kafka
