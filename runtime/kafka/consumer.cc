#include <algorithm>

#include "runtime/kafka/connection.h"
#include "runtime/log/log.h"

namespace edgeloop::kafka {
namespace {

constexpr int kMetadataTimeoutMs = 10'000;

struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using MessagePtr = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

events::Headers HeadersOf(const rd_kafka_message_t* message) {
  events::Headers headers;
  rd_kafka_headers_t* raw = nullptr;
  if (rd_kafka_message_headers(message, &raw) != RD_KAFKA_RESP_ERR_NO_ERROR) return headers;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0;
       rd_kafka_header_get_all(raw, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    headers.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return headers;
}

Record RecordOf(const rd_kafka_message_t* message) {
  Record record;
  record.topic = rd_kafka_topic_name(message->rkt);
  record.partition = message->partition;
  record.offset = message->offset;
  record.timestamp_ms = rd_kafka_message_timestamp(message, nullptr);
  if (message->key != nullptr) {
    record.key.assign(static_cast<const char*>(message->key), message->key_len);
  }
  record.tombstone = message->payload == nullptr;
  if (!record.tombstone) {
    record.value.assign(static_cast<const char*>(message->payload), message->len);
  }
  record.headers = HeadersOf(message);
  return record;
}

}  // namespace

struct Consumer::Impl {
  HandlePtr handle;
  bool in_group = false;

  ~Impl() {
    if (handle) rd_kafka_consumer_close(handle.get());
  }
};

Consumer::Consumer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Consumer::~Consumer() = default;

Expected<std::unique_ptr<Consumer>> Consumer::Create(Options options) {
  Settings settings(options.connection);
  // librdkafka polls and assigns only with a group name; this one is never joined or committed to.
  settings.Set("group.id", options.group.empty() ? "edgeloop-no-group" : options.group);
  settings.Set("enable.auto.commit", "false");
  settings.Set("enable.auto.offset.store", "false");
  settings.Set("auto.offset.reset", options.from_beginning ? "earliest" : "latest");
  settings.Set("partition.assignment.strategy", "range");
  settings.Set("session.timeout.ms", options.session_timeout_ms);
  settings.Set("heartbeat.interval.ms", std::max(1, options.session_timeout_ms / 4));
  settings.Set("fetch.wait.max.ms", options.fetch_wait_ms);
  settings.Set("fetch.error.backoff.ms", 100);
  settings.Set("queued.max.messages.kbytes", options.queue_kib);
  settings.Set("queued.min.messages", 1'000);
  // A fetch may carry one message of the largest size, and no more than what the queue holds.
  constexpr int kMessageMaxBytes = 1'000'000;
  const int fetch_bytes = std::max(options.queue_kib * 1'024, kMessageMaxBytes);
  settings.Set("fetch.message.max.bytes", kMessageMaxBytes);
  settings.Set("fetch.max.bytes", fetch_bytes);

  auto handle = settings.Create(RD_KAFKA_CONSUMER);
  if (!handle) return Fail(handle.error());
  auto impl = std::make_unique<Impl>();
  impl->handle = std::move(*handle);
  impl->in_group = !options.group.empty();
  rd_kafka_poll_set_consumer(impl->handle.get());
  return std::unique_ptr<Consumer>(new Consumer(std::move(impl)));
}

Status Consumer::Subscribe(const std::vector<std::string>& topics) {
  if (!impl_->in_group) {
    return Fail(ErrorCode::kInvalidArgument, "subscribe: the consumer has no group, use Assign");
  }
  const PartitionListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const std::string& topic : topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  const auto code = rd_kafka_subscribe(impl_->handle.get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "subscribe"));
  return {};
}

Status Consumer::Assign(const std::vector<Assignment>& assignments) {
  static_assert(kBeginning == RD_KAFKA_OFFSET_BEGINNING && kEnd == RD_KAFKA_OFFSET_END);
  const PartitionListPtr list(
      rd_kafka_topic_partition_list_new(static_cast<int>(assignments.size())));
  for (const Assignment& assignment : assignments) {
    rd_kafka_topic_partition_list_add(list.get(), assignment.topic.c_str(), assignment.partition)
        ->offset = assignment.offset;
  }
  const auto code = rd_kafka_assign(impl_->handle.get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "assign"));
  return {};
}

Status Consumer::AssignAll(const std::vector<std::string>& topics, int64_t from) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto code =
      rd_kafka_metadata(impl_->handle.get(), /*all_topics=*/1, nullptr, &raw, kMetadataTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "list topics"));
  const MetadataPtr metadata(raw);
  std::vector<Assignment> assignments;
  for (const std::string& topic : topics) {
    const rd_kafka_metadata_topic* const begin = metadata->topics;
    const rd_kafka_metadata_topic* const end = begin + metadata->topic_cnt;
    const auto* found =
        std::find_if(begin, end, [&](const auto& known) { return known.topic == topic; });
    if (found == end || found->partition_cnt == 0) {
      return Fail(ErrorCode::kNotFound, "topic '" + topic + "' does not exist");
    }
    for (int i = 0; i < found->partition_cnt; ++i) {
      assignments.push_back({topic, found->partitions[i].id, from});
    }
  }
  return Assign(assignments);
}

Expected<std::optional<Record>> Consumer::Poll(std::chrono::milliseconds wait) {
  const MessagePtr message(
      rd_kafka_consumer_poll(impl_->handle.get(), static_cast<int>(wait.count())));
  if (!message) return std::nullopt;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return RecordOf(message.get());
  if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
    return Fail(ErrorOf(message->err, rd_kafka_message_errstr(message.get())));
  }
  log::Warning("kafka consumer", {{"error", rd_kafka_err2name(message->err)},
                                  {"reason", rd_kafka_message_errstr(message.get())}});
  return std::nullopt;
}

Status Consumer::Commit(const Record& record) {
  if (!impl_->in_group) {
    return Fail(ErrorCode::kInvalidArgument, "commit: the consumer has no group");
  }
  const PartitionListPtr list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), record.topic.c_str(), record.partition)->offset =
      record.offset + 1;
  const auto code = rd_kafka_commit(impl_->handle.get(), list.get(), /*async=*/0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "commit"));
  const auto partition_code = list->elems[0].err;
  if (partition_code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(partition_code, "commit"));
  return {};
}

Expected<Consumer::Watermarks> Consumer::QueryWatermarks(std::string_view topic, int32_t partition,
                                                         std::chrono::milliseconds timeout) {
  Watermarks marks;
  const auto code =
      rd_kafka_query_watermark_offsets(impl_->handle.get(), std::string(topic).c_str(), partition,
                                       &marks.low, &marks.high, static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Fail(ErrorOf(code, "offsets of " + std::string(topic)));
  }
  return marks;
}

}  // namespace edgeloop::kafka
