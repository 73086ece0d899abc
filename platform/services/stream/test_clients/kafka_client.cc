#include "platform/services/stream/test_clients/kafka_client.h"

#include <array>
#include <stdexcept>

namespace edgeloop::stream::test {
namespace {

constexpr int kCallTimeoutMs = 15000;

std::string Text(const void* bytes, size_t size) {
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

// Waits for the one result of an admin call.
struct Queue {
  explicit Queue(rd_kafka_t* kafka) : queue(rd_kafka_queue_new(kafka)) {}
  ~Queue() { rd_kafka_queue_destroy(queue); }
  rd_kafka_queue_t* queue;
};

std::string TopicResultText(const rd_kafka_topic_result_t* const* results, size_t count) {
  if (count != 1) return "no result";
  if (rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const char* text = rd_kafka_topic_result_error_string(results[0]);
  return text != nullptr ? text : rd_kafka_err2str(rd_kafka_topic_result_error(results[0]));
}

}  // namespace

KafkaPtr MakeClient(rd_kafka_type_t type, uint16_t port, const Settings& settings,
                    void (*delivery)(rd_kafka_t*, const rd_kafka_message_t*, void*), void* opaque) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 512> error{};
  Settings all = {{"bootstrap.servers", "127.0.0.1:" + std::to_string(port)},
                  {"reconnect.backoff.ms", "20"},
                  {"reconnect.backoff.max.ms", "200"},
                  {"log_level", "2"}};
  for (const auto& [key, value] : settings) all[key] = value;
  for (const auto& [key, value] : all) {
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error.data(), error.size()) !=
        RD_KAFKA_CONF_OK) {
      throw std::runtime_error(error.data());
    }
  }
  if (delivery != nullptr) rd_kafka_conf_set_dr_msg_cb(conf, delivery);
  rd_kafka_conf_set_opaque(conf, opaque);
  KafkaPtr kafka(rd_kafka_new(type, conf, error.data(), error.size()));
  if (!kafka) throw std::runtime_error(error.data());
  return kafka;
}

Producer::Producer(uint16_t port, Settings settings) {
  settings.try_emplace("enable.idempotence", "true");
  settings.try_emplace("linger.ms", "1");
  settings.try_emplace("retry.backoff.ms", "20");
  kafka_ = MakeClient(RD_KAFKA_PRODUCER, port, settings, &Producer::OnDelivery, this);
}

void Producer::OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
  auto* producer = static_cast<Producer*>(self);
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    producer->failed_.push_back(rd_kafka_err2str(message->err));
    return;
  }
  producer->delivered_.push_back(
      {Text(message->payload, message->len), message->offset, message->partition});
}

void Producer::Send(const std::string& topic, int32_t partition, const std::string& key,
                    const std::string& value, int64_t timestamp_ms) {
  for (;;) {
    const auto error = rd_kafka_producev(
        kafka_.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
        RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) break;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) throw std::runtime_error(rd_kafka_err2str(error));
    rd_kafka_poll(kafka_.get(), 50);
  }
  rd_kafka_poll(kafka_.get(), 0);
}

bool Producer::Flush(int timeout_ms) {
  return rd_kafka_flush(kafka_.get(), timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

Consumer::Consumer(uint16_t port, const std::string& group, Settings settings) {
  settings["group.id"] = group;
  settings.try_emplace("auto.offset.reset", "earliest");
  settings.try_emplace("enable.auto.commit", "false");
  settings.try_emplace("session.timeout.ms", "6000");
  settings.try_emplace("heartbeat.interval.ms", "200");
  settings.try_emplace("fetch.error.backoff.ms", "20");
  kafka_ = MakeClient(RD_KAFKA_CONSUMER, port, settings);
  rd_kafka_poll_set_consumer(kafka_.get());
}

Consumer::~Consumer() { rd_kafka_consumer_close(kafka_.get()); }

void Consumer::Subscribe(const std::string& topic) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic.c_str(), RD_KAFKA_PARTITION_UA);
  const auto error = rd_kafka_subscribe(kafka_.get(), list);
  rd_kafka_topic_partition_list_destroy(list);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
}

void Consumer::Assign(const std::string& topic, const std::map<int32_t, int64_t>& offsets) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  for (const auto& [partition, offset] : offsets) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = offset;
  }
  const auto error = rd_kafka_assign(kafka_.get(), list);
  rd_kafka_topic_partition_list_destroy(list);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
}

std::optional<Consumed> Consumer::Poll(int timeout_ms) {
  rd_kafka_message_t* message = rd_kafka_consumer_poll(kafka_.get(), timeout_ms);
  if (message == nullptr) return std::nullopt;
  std::optional<Consumed> result;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    result = Consumed{rd_kafka_topic_name(message->rkt), message->partition, message->offset,
                      Text(message->key, message->key_len), Text(message->payload, message->len)};
  }
  rd_kafka_message_destroy(message);
  return result;
}

size_t Consumer::assigned() const {
  rd_kafka_topic_partition_list_t* list = nullptr;
  if (rd_kafka_assignment(kafka_.get(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
  const auto count = static_cast<size_t>(list->cnt);
  rd_kafka_topic_partition_list_destroy(list);
  return count;
}

std::string Consumer::Commit() {
  const auto error = rd_kafka_commit(kafka_.get(), nullptr, 0);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(error);
}

std::vector<Consumed> ReadAll(uint16_t port, const std::string& topic, int32_t partition,
                              Settings settings) {
  settings["check.crcs"] = "true";
  Consumer consumer(port, "read-all", settings);
  int64_t low = 0;
  int64_t high = 0;
  const auto error = rd_kafka_query_watermark_offsets(consumer.raw(), topic.c_str(), partition,
                                                      &low, &high, kCallTimeoutMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
  std::vector<Consumed> all;
  if (low == high) return all;
  consumer.Assign(topic, {{partition, low}});
  while (all.empty() || all.back().offset + 1 < high) {
    auto message = consumer.Poll(kCallTimeoutMs);
    if (!message) throw std::runtime_error("the consumer got nothing more before the end");
    all.push_back(std::move(*message));
  }
  return all;
}

std::string CreateTopic(uint16_t port, const std::string& topic, int partitions,
                        const Settings& config, Settings settings) {
  const KafkaPtr kafka = MakeClient(RD_KAFKA_PRODUCER, port, settings);
  const Queue queue(kafka.get());
  std::array<char, 512> error{};
  rd_kafka_NewTopic_t* wanted =
      rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, error.data(), error.size());
  for (const auto& [key, value] : config) {
    rd_kafka_NewTopic_set_config(wanted, key.c_str(), value.c_str());
  }
  rd_kafka_CreateTopics(kafka.get(), &wanted, 1, nullptr, queue.queue);
  rd_kafka_NewTopic_destroy(wanted);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue.queue, kCallTimeoutMs);
  if (event == nullptr) return "no answer";
  std::string text;
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    text = rd_kafka_event_error_string(event);
  } else {
    size_t count = 0;
    const auto* results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    text = TopicResultText(results, count);
  }
  rd_kafka_event_destroy(event);
  return text;
}

std::string DeleteTopic(uint16_t port, const std::string& topic) {
  const KafkaPtr kafka = MakeClient(RD_KAFKA_PRODUCER, port, {});
  const Queue queue(kafka.get());
  rd_kafka_DeleteTopic_t* wanted = rd_kafka_DeleteTopic_new(topic.c_str());
  rd_kafka_DeleteTopics(kafka.get(), &wanted, 1, nullptr, queue.queue);
  rd_kafka_DeleteTopic_destroy(wanted);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue.queue, kCallTimeoutMs);
  if (event == nullptr) return "no answer";
  std::string text;
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    text = rd_kafka_event_error_string(event);
  } else {
    size_t count = 0;
    const auto* results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    text = TopicResultText(results, count);
  }
  rd_kafka_event_destroy(event);
  return text;
}

}  // namespace edgeloop::stream::test
