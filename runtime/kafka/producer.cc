#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/kafka/connection.h"

namespace edgeloop::kafka {
namespace {

constexpr int kPollMs = 500;

// The answer to ProduceSync; outlives a caller that gave up waiting.
struct Answer {
  std::mutex mutex;
  std::condition_variable arrived;
  std::optional<Expected<Position>> position;
};

void OnDelivered(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  const std::unique_ptr<Producer::Delivered> delivered(
      static_cast<Producer::Delivered*>(message->_private));
  if (!delivered) return;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    (*delivered)(Fail(ErrorOf(message->err, "not delivered")));
  } else {
    (*delivered)(Position{message->partition, message->offset});
  }
}

}  // namespace

struct Producer::Impl {
  HandlePtr handle;
  rd_kafka_queue_t* queue = nullptr;  // of delivery reports
  std::jthread poller;

  ~Impl() {
    if (!handle) return;
    rd_kafka_purge(handle.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                     RD_KAFKA_PURGE_F_NON_BLOCKING);
    poller.request_stop();
    rd_kafka_queue_yield(queue);
    if (poller.joinable()) poller.join();
    // The reports of what was purged: every callback is called.
    while (rd_kafka_poll(handle.get(), 0) > 0) {
    }
    rd_kafka_queue_destroy(queue);
  }
};

Producer::Producer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Producer::~Producer() = default;

Expected<std::unique_ptr<Producer>> Producer::Create(Options options) {
  Settings settings(options.connection);
  settings.Set("enable.idempotence", "true");
  settings.Set("acks", "all");
  settings.Set("linger.ms", options.linger_ms);
  settings.Set("queue.buffering.max.messages", options.queue_messages);
  settings.Set("queue.buffering.max.kbytes", options.queue_kib);
  settings.Set("delivery.timeout.ms", options.delivery_timeout_ms);
  rd_kafka_conf_set_dr_msg_cb(settings.raw(), &OnDelivered);
  auto handle = settings.Create(RD_KAFKA_PRODUCER);
  if (!handle) return Fail(handle.error());

  auto impl = std::make_unique<Impl>();
  impl->handle = std::move(*handle);
  impl->queue = rd_kafka_queue_get_main(impl->handle.get());
  impl->poller = std::jthread([raw = impl->handle.get()](const std::stop_token& stop) {
    while (!stop.stop_requested()) rd_kafka_poll(raw, kPollMs);
  });
  return std::unique_ptr<Producer>(new Producer(std::move(impl)));
}

Status Producer::Produce(const Message& message, Delivered delivered) {
  const std::string topic(message.topic);
  rd_kafka_headers_t* headers = rd_kafka_headers_new(message.headers.size());
  for (const auto& [name, value] : message.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  auto callback = delivered ? std::make_unique<Delivered>(std::move(delivered)) : nullptr;

  std::array<rd_kafka_vu_t, 6> arguments{};
  arguments[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  arguments[0].u.cstr = topic.c_str();
  arguments[1].vtype = RD_KAFKA_VTYPE_KEY;
  arguments[1].u.mem.ptr = const_cast<char*>(message.key.data());
  arguments[1].u.mem.size = message.key.size();
  arguments[2].vtype = RD_KAFKA_VTYPE_VALUE;
  arguments[2].u.mem.ptr = const_cast<char*>(message.value.data());
  arguments[2].u.mem.size = message.value.size();
  arguments[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  arguments[3].u.i = RD_KAFKA_MSG_F_COPY;
  arguments[4].vtype = RD_KAFKA_VTYPE_HEADERS;
  arguments[4].u.headers = headers;
  arguments[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  arguments[5].u.ptr = callback.get();
  rd_kafka_error_t* error =
      rd_kafka_produceva(impl_->handle.get(), arguments.data(), arguments.size());
  if (error == nullptr) {
    static_cast<void>(callback.release());  // OnDelivered owns it now
    return {};
  }
  rd_kafka_headers_destroy(headers);
  const auto code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return Fail(ErrorOf(code, "produce to " + topic));
}

Expected<Position> Producer::ProduceSync(const Message& message,
                                         std::chrono::milliseconds timeout) {
  auto answer = std::make_shared<Answer>();
  const Status queued = Produce(message, [answer](Expected<Position> position) {
    const std::lock_guard lock(answer->mutex);
    answer->position.emplace(std::move(position));
    answer->arrived.notify_one();
  });
  if (!queued) return Fail(queued.error());
  std::unique_lock lock(answer->mutex);
  if (!answer->arrived.wait_for(lock, timeout, [&] { return answer->position.has_value(); })) {
    return Fail(ErrorCode::kTimeout, "produce to " + std::string(message.topic) +
                                         ": no answer in " + std::to_string(timeout.count()) +
                                         " ms");
  }
  return *answer->position;
}

Status Producer::Flush(std::chrono::milliseconds timeout) {
  const auto code = rd_kafka_flush(impl_->handle.get(), static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return Fail(ErrorOf(code, "flush"));
  return {};
}

}  // namespace edgeloop::kafka
