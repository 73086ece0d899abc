#include "runtime/mqtt/mqtt.h"

#include <mosquitto.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "runtime/log/log.h"

namespace edgeloop::mqtt {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff{200};
constexpr milliseconds kMaxBackoff{5'000};
constexpr int kLoopMs = 1'000;  // woken at once when there is something to do

struct MosquittoDeleter {
  void operator()(mosquitto* client) const { mosquitto_destroy(client); }
};

std::string Reason(int code) {
  return code == MOSQ_ERR_ERRNO ? std::strerror(errno) : mosquitto_strerror(code);
}

Error ErrorOf(int code, std::string_view what) {
  auto kind = ErrorCode::kInternal;
  if (code == MOSQ_ERR_NO_CONN || code == MOSQ_ERR_CONN_LOST || code == MOSQ_ERR_ERRNO) {
    kind = ErrorCode::kUnavailable;
  }
  if (code == MOSQ_ERR_INVAL || code == MOSQ_ERR_PAYLOAD_SIZE || code == MOSQ_ERR_MALFORMED_UTF8 ||
      code == MOSQ_ERR_TLS) {
    kind = ErrorCode::kInvalidArgument;
  }
  return Error(kind, std::string(what) + ": " + Reason(code));
}

}  // namespace

struct Client::Impl {
  Options options;
  std::unique_ptr<mosquitto, MosquittoDeleter> client;
  std::thread thread;
  std::atomic<bool> connected = false;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  Clock::time_point give_up;               // of a clean disconnection, once stopping
  std::unordered_set<int> unacknowledged;  // message ids of QoS > 0

  bool Stopping() {
    const std::lock_guard lock(mutex);
    return stopping;
  }
  bool GaveUp() {
    const std::lock_guard lock(mutex);
    return stopping && Clock::now() >= give_up;
  }
  // True when it is time to leave.
  bool WaitToRetry(milliseconds backoff) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, backoff, [&] { return stopping; });
  }
  // 0, or why the broker could not be reached.
  int Connect() {
    mosquitto_will_clear(client.get());
    if (const auto will = options.will ? options.will() : std::nullopt) {
      const int code = mosquitto_will_set(client.get(), will->topic.c_str(),
                                          static_cast<int>(will->payload.size()),
                                          will->payload.data(), will->qos, will->retain);
      if (code != MOSQ_ERR_SUCCESS) return code;
    }
    return mosquitto_connect(client.get(), options.host.c_str(), options.port,
                             options.keep_alive_s);
  }
  // Until the connection ends.
  void Serve() {
    bool disconnecting = false;
    while (!GaveUp()) {
      if (!disconnecting && Stopping()) {
        mosquitto_disconnect(client.get());
        disconnecting = true;
      }
      if (mosquitto_loop(client.get(), kLoopMs, 1) != MOSQ_ERR_SUCCESS) break;
    }
  }
  void Run() {
    milliseconds backoff = kFirstBackoff;
    while (!Stopping()) {
      const int code = Connect();
      if (code == MOSQ_ERR_SUCCESS) {
        was_connected = false;
        Serve();
        if (was_connected) backoff = kFirstBackoff;
      } else {
        WarnOnce("mqtt broker not reachable", Reason(code));
      }
      if (WaitToRetry(backoff)) break;
      backoff = std::min(2 * backoff, kMaxBackoff);
    }
  }
  // One line an outage: an absent broker must not fill the log.
  void WarnOnce(std::string_view what, std::string_view reason) {
    if (warned) return;
    warned = true;
    log::Warning(what, {{"host", options.host}, {"port", options.port}, {"reason", reason}});
  }
  // Of the client's thread.
  bool was_connected = false;
  bool warned = false;

  static Impl& Of(void* object) { return *static_cast<Impl*>(object); }
  static void OnConnect(mosquitto*, void* object, int code) {
    Impl& self = Of(object);
    if (code != 0) {
      self.WarnOnce("mqtt broker refused us", mosquitto_connack_string(code));
      return;
    }
    self.warned = false;
    self.was_connected = true;
    self.connected = true;
    if (self.options.on_connected) self.options.on_connected();
  }
  static void OnDisconnect(mosquitto*, void* object, int code) {
    Impl& self = Of(object);
    if (!self.connected.exchange(false)) {
      if (code != 0) self.WarnOnce("mqtt connection refused", Reason(code));
      return;
    }
    const std::string reason = code == 0 ? "disconnected" : Reason(code);
    if (self.options.on_disconnected) self.options.on_disconnected(reason);
  }
  static void OnMessage(mosquitto*, void* object, const mosquitto_message* message) {
    Impl& self = Of(object);
    const auto size = static_cast<size_t>(message->payloadlen);
    if (size > self.options.max_payload_bytes) {
      log::Warning("mqtt message dropped: too large", {{"topic", message->topic}, {"bytes", size}});
      return;
    }
    if (!self.options.on_message) return;
    self.options.on_message(message->topic, {static_cast<const char*>(message->payload), size});
  }
  static void OnPublish(mosquitto*, void* object, int id) {
    Impl& self = Of(object);
    const std::lock_guard lock(self.mutex);
    self.unacknowledged.erase(id);
    if (self.unacknowledged.empty()) self.changed.notify_all();
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() { Stop(); }

Expected<std::unique_ptr<Client>> Client::Create(Options options) {
  static const int initialised = mosquitto_lib_init();
  if (initialised != MOSQ_ERR_SUCCESS) return Fail(ErrorOf(initialised, "mqtt"));
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  const Options& wanted = impl->options;
  impl->client.reset(mosquitto_new(wanted.client_id.c_str(), /*clean_session=*/true, impl.get()));
  mosquitto* client = impl->client.get();
  if (client == nullptr) {
    return Fail(ErrorCode::kInvalidArgument, "mqtt: bad client id '" + wanted.client_id + "'");
  }
  // Publish() is called from any thread, the loop runs on ours.
  mosquitto_threaded_set(client, true);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  if (!wanted.tls.ca.empty()) {
    const tls::Files& files = wanted.tls;
    int code = mosquitto_tls_set(client, files.ca.c_str(), nullptr,
                                 files.cert.empty() ? nullptr : files.cert.c_str(),
                                 files.key.empty() ? nullptr : files.key.c_str(), nullptr);
    if (code == MOSQ_ERR_SUCCESS) code = mosquitto_tls_opts_set(client, 1, "tlsv1.3", nullptr);
    if (code != MOSQ_ERR_SUCCESS) {
      return Fail(ErrorCode::kInvalidArgument, "mqtt: cannot use the certificates " + files.ca +
                                                   ", " + files.cert + ", " + files.key + ": " +
                                                   Reason(code));
    }
  }
  mosquitto_connect_callback_set(client, &Impl::OnConnect);
  mosquitto_disconnect_callback_set(client, &Impl::OnDisconnect);
  mosquitto_message_callback_set(client, &Impl::OnMessage);
  mosquitto_publish_callback_set(client, &Impl::OnPublish);
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Status Client::Start() {
  if (impl_->thread.joinable()) return Fail(ErrorCode::kInvalidArgument, "mqtt: started already");
  impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
  return {};
}

void Client::Stop(int timeout_ms) {
  if (!impl_->thread.joinable()) return;
  {
    std::unique_lock lock(impl_->mutex);
    const auto deadline = Clock::now() + milliseconds(timeout_ms);
    if (impl_->connected) {
      impl_->changed.wait_until(lock, deadline, [&] { return impl_->unacknowledged.empty(); });
    }
    impl_->give_up = deadline;
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  mosquitto_disconnect(impl_->client.get());  // also wakes the loop
  impl_->thread.join();
}

bool Client::connected() const { return impl_->connected; }

Status Client::Publish(std::string_view topic, std::string_view payload, int qos, bool retain) {
  const std::string name(topic);
  if (qos == 0 && !impl_->connected) {
    return Fail(ErrorCode::kUnavailable, "publish to " + name + ": not connected");
  }
  const std::lock_guard lock(impl_->mutex);
  if (qos > 0 && impl_->unacknowledged.size() >= static_cast<size_t>(impl_->options.max_queued)) {
    return Fail(ErrorCode::kUnavailable, "publish to " + name + ": " +
                                             std::to_string(impl_->options.max_queued) +
                                             " messages wait for the broker already");
  }
  int id = 0;
  const int code = mosquitto_publish(impl_->client.get(), &id, name.c_str(),
                                     static_cast<int>(payload.size()), payload.data(), qos, retain);
  // Without a connection a message of QoS > 0 is kept and sent at the next one.
  if (code != MOSQ_ERR_SUCCESS && !(qos > 0 && code == MOSQ_ERR_NO_CONN)) {
    return Fail(ErrorOf(code, "publish to " + name));
  }
  if (qos > 0) impl_->unacknowledged.insert(id);
  return {};
}

Status Client::Subscribe(std::string_view filter, int qos) {
  const std::string name(filter);
  const int code = mosquitto_subscribe(impl_->client.get(), nullptr, name.c_str(), qos);
  if (code != MOSQ_ERR_SUCCESS) return Fail(ErrorOf(code, "subscribe to " + name));
  return {};
}

}  // namespace edgeloop::mqtt
