// One working bridge: from recovery until something fails that only a new recovery mends.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "platform/services/bridge/intake.h"
#include "platform/services/bridge/ledger.h"
#include "runtime/kafka/kafka.h"
#include "runtime/mqtt/mqtt.h"

namespace edgeloop::bridge {

struct SessionOptions {
  std::string group_id = "edgeloop";
  std::string mqtt_host = "127.0.0.1";
  int mqtt_port = 8883;
  tls::Files mqtt_tls;
  kafka::ConnectionOptions stream;
  int queue_messages = 4'096;  // on their way to the stream; more is pushed back
  int queue_kib = 8'192;
};

class Session {
 public:
  // Recovers, then connects to MQTT. Blocks until recovered.
  static Expected<std::unique_ptr<Session>> Start(const SessionOptions& options,
                                                  BridgeMetrics& metrics);
  // Takes no more records, waits for those on their way, acknowledges and checkpoints them.
  ~Session();

  bool failed() const { return failed_; }
  bool connected() const { return mqtt_->connected(); }
  const Ledger& ledger() const { return ledger_; }

 private:
  Session(const SessionOptions& options, Recovered recovered, BridgeMetrics& metrics);
  Status Connect();
  static Status CreateMissingTopics(const kafka::ConnectionOptions& stream);
  Status Produce(const v1::TelemetryRecord& record);
  void DeadLetter(std::string_view topic, std::string_view payload, std::string_view reason);
  void Subscribe();
  void GiveUp(const Error& error);
  void Wake();
  // Acknowledges and checkpoints as the ledger moves.
  void Report();
  void SendAcks();
  void WriteCheckpoint();
  // edgeloop.commands -> DCMD.
  void ForwardCommands();
  bool SendCommand(const kafka::Record& record);

  const SessionOptions options_;
  BridgeMetrics& metrics_;
  Ledger ledger_;
  Intake intake_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<kafka::Consumer> commands_;
  std::unique_ptr<mqtt::Client> mqtt_;

  std::atomic<bool> closed_ = false;  // takes no more messages
  std::atomic<bool> failed_ = false;  // what is durable is no longer known
  std::atomic<bool> forget_births_ = false;
  std::atomic<bool> checkpoint_on_its_way_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread reporter_;
  std::thread forwarder_;
};

}  // namespace edgeloop::bridge
