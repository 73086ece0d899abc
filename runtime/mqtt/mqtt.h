// An MQTT client (libmosquitto inside) on its own thread, under mutual TLS.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/error/error.h"
#include "runtime/tls/tls.h"

namespace edgeloop::mqtt {

struct Will {
  std::string topic;
  std::string payload;
  int qos = 1;
  bool retain = false;
};

// Connects, and reconnects for ever with exponential back-off (0.2 s .. 5 s). The callbacks run on
// the client's thread, one at a time, and must not block for long.
class Client {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 8883;
    tls::Files tls;  // all empty: plain text (tests)
    std::string client_id;
    int keep_alive_s = 15;
    int max_queued = 1'000;               // messages of QoS > 0 waiting for the broker
    size_t max_payload_bytes = 1u << 20;  // larger messages are dropped and logged
    // Asked anew before each connection: Sparkplug's bdSeq changes with each.
    std::function<std::optional<Will>()> will;
    std::function<void()> on_connected;  // subscribe and publish births here
    std::function<void(std::string_view reason)> on_disconnected;
    std::function<void(std::string_view topic, std::string_view payload)> on_message;
  };
  static Expected<std::unique_ptr<Client>> Create(Options options);
  ~Client();  // disconnects without the will being sent

  Status Start();
  // Disconnects cleanly after what is queued has been sent, at most `timeout_ms`.
  void Stop(int timeout_ms = 1'000);
  bool connected() const;

  // Thread-safe. kUnavailable when not connected (QoS 0) or the queue is full.
  Status Publish(std::string_view topic, std::string_view payload, int qos, bool retain = false);
  Status Subscribe(std::string_view filter, int qos);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::mqtt
