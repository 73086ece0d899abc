// The gateway as a Sparkplug B edge node: flushes the stores, sends what is durable, takes
// acknowledgements and commands. One thread; the MQTT client's thread only passes messages to it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/ids/ids.h"
#include "contracts/sparkplug/payload.h"
#include "contracts/sparkplug/record.h"
#include "contracts/sparkplug/topic.h"
#include "runtime/metrics/metrics.h"
#include "runtime/mqtt/mqtt.h"
#include "things/gateway/publish/feature_sets.h"
#include "things/gateway/publish/send_window.h"
#include "things/gateway/store/record_store.h"

namespace edgeloop::gateway {

class EdgeNode {
 public:
  struct Options {
    std::string group_id = "edgeloop";
    std::string gateway_id;
    std::string mqtt_host = "127.0.0.1";
    int mqtt_port = 8883;
    tls::Files tls;
    int sync_interval_ms = 200;  // records other than alarms and events are synced together
  };
  struct Device {
    DeviceId id;
    RecordStore* store = nullptr;
    std::vector<std::string> feature_names;            // of the confirmed model at the start
    std::function<std::string()> model_state;          // any thread
    std::function<void(std::string_view)> on_command;  // a serialized edgeloop.v1.Command
  };

  static Expected<std::unique_ptr<EdgeNode>> Create(Options options, FeatureSets& feature_sets,
                                                    metrics::Registry& metrics);
  ~EdgeNode();  // stops

  // Before Start().
  Status AddDevice(Device device);
  Status Start();
  // Sends what is left, announces our death, makes the acknowledged positions durable.
  void Stop();

  // A store has something to flush: what RecordStore::Options::on_append calls.
  void Wake(bool at_once);
  bool connected() const { return connected_; }
  uint64_t resent(size_t device) const { return devices_[device]->resent; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Uplink {
    Device device;
    uint64_t first_alias = 0;
    std::optional<sparkplug::RecordEncoder> encoder;
    SendWindow window;
    sparkplug::DeviceState told;  // the state last published
    Clock::time_point told_at;
    bool complained = false;  // about an acknowledgement from the future
    std::atomic<uint64_t> resent = 0;
    StoreStats metered;
    metrics::Counter produced, acked, dropped_raw, dropped_features, dropped_alarms, resent_total;
    metrics::Gauge pending, disk_bytes;
  };
  struct Message {
    size_t device = 0;
    sparkplug::DeviceInstruction instruction;
  };

  EdgeNode(Options options, FeatureSets& feature_sets, metrics::Registry& metrics)
      : options_(std::move(options)), feature_sets_(feature_sets), metrics_(metrics) {}

  Status Connect();
  void OnMessage(std::string_view topic, std::string_view payload);
  void Run();
  Clock::time_point NextDeadline() const;
  void FlushAll();
  void Take(Message& message);
  bool Bear();  // all births; false when the connection is gone
  bool BearDevice(Uplink& uplink);
  bool Send(Uplink& uplink);
  bool SendRecord(Uplink& uplink, const StoredRecord& stored);
  sparkplug::DeviceState StateOf(const Uplink& uplink) const;
  std::string TopicOf(sparkplug::MessageType type, const Uplink* uplink) const;
  void UpdateMeters(Uplink& uplink);

  const Options options_;
  FeatureSets& feature_sets_;
  metrics::Registry& metrics_;
  metrics::Gauge connected_gauge_;
  metrics::Counter flush_failures_;
  std::vector<std::unique_ptr<Uplink>> devices_;
  std::unique_ptr<mqtt::Client> client_;
  sparkplug::SequenceCounter sequence_;
  std::atomic<bool> connected_ = false;
  std::atomic<uint64_t> bd_seq_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool flush_now_ = false;
  Clock::time_point flush_at_ = Clock::time_point::max();
  bool births_wanted_ = false;
  std::vector<Message> inbox_;
  std::thread thread_;
};

}  // namespace edgeloop::gateway
