// The real bridge between a real mosquitto and our real stream, under mutual TLS, with a gateway
// that keeps its records until they are acknowledged, over a path that loses messages.

#include <gtest/gtest.h>

#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/sparkplug/record.h"
#include "contracts/sparkplug/topic.h"
#include "contracts/topics/topics.h"
#include "platform/services/bridge/session.h"
#include "platform/services/mqtt_broker/broker_config.h"
#include "platform/services/stream/broker.h"
#include "runtime/http/client.h"
#include "runtime/process/child.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::bridge {
namespace {

using namespace std::chrono_literals;
using sparkplug::MessageType;
using std::chrono::steady_clock;

constexpr std::string_view kDevice = "motor-01";

// A Sparkplug edge node with one device and a bounded store in memory.
class Gateway {
 public:
  Gateway(tls::TestCa& ca, int port, std::string id, uint32_t seed, int loss_percent)
      : id_(std::move(id)), random_(seed), loss_percent_(loss_percent) {
    mqtt::Client::Options options;
    options.port = port;
    options.tls = ca.Issue(id_, "device");
    options.client_id = id_;
    options.will = [this] {
      return mqtt::Will{Topic(MessageType::kNodeDeath), sparkplug::NodeDeath(bd_seq_, 1), 1, false};
    };
    options.on_connected = [this] {
      (void)client_->Subscribe(Topic(MessageType::kNodeCommand), 1);
      (void)client_->Subscribe(Topic(MessageType::kDeviceCommand), 1);
      const std::lock_guard lock(mutex_);
      born_ = false;
    };
    options.on_message = [this](std::string_view topic, std::string_view payload) {
      Hear(topic, payload);
    };
    client_ = mqtt::Client::Create(std::move(options)).value();
    EXPECT_TRUE(client_->Start().has_value());
  }

  void Make(int count) {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) {
      v1::TelemetryRecord record;
      record.set_boot(1);
      record.set_seq(++produced_);
      record.set_kind(v1::FEATURES);
      record.set_sensed_at_ns(
          uint64_t(std::chrono::system_clock::now().time_since_epoch().count()));
      record.add_feature_names("ch0.rms");
      record.add_features(float(produced_));
      store_.push_back(std::move(record));
    }
  }
  // As a full store does: drops records and says so in a later one.
  void Drop(int count) {
    const std::lock_guard lock(mutex_);
    v1::TelemetryRecord loss;
    loss.set_boot(1);
    loss.set_seq(++produced_);
    loss.set_kind(v1::LOSS);
    for (int i = 0; i < count; ++i) {
      auto victim = store_.begin() + long(random_() % store_.size());
      const uint64_t seq = victim->seq();
      v1::Loss& detail = *loss.mutable_loss();
      detail.set_first_seq(i == 0 ? seq : std::min<uint64_t>(detail.first_seq(), seq));
      detail.set_last_seq(std::max<uint64_t>(detail.last_seq(), seq));
      detail.set_features(detail.features() + 1);
      dropped_.insert(seq);
      store_.erase(victim);
    }
    next_ = 0;
    store_.push_back(std::move(loss));
  }
  // Sends and resends until all is acknowledged.
  bool Drain(std::chrono::seconds patience) {
    const auto deadline = steady_clock::now() + patience;
    while (steady_clock::now() < deadline) {
      if (Pump()) return true;
    }
    return false;
  }
  // One round; true when the store is empty.
  bool Pump() {
    std::unique_lock lock(mutex_);
    if (store_.empty()) return true;
    if (client_->connected()) {
      if (!born_) {
        born_ = true;
        next_ = 0;
        counter_.Reset();
        counter_.Next();
        Publish(Topic(MessageType::kNodeBirth), sparkplug::NodeBirth(bd_seq_, 1));
        sparkplug::DeviceState state;
        state.acked_seq = acked_;
        state.produced = produced_;
        Publish(Topic(MessageType::kDeviceBirth), encoder_.Birth(1, state, counter_.Next(), 1));
      }
      for (int burst = 0; burst < 64 && next_ < store_.size(); ++burst, ++next_) {
        const auto payload = encoder_.Data(
            store_[next_], {.previous_seq = next_ == 0 ? acked_ : store_[next_ - 1].seq(),
                            .seq = counter_.Next()});
        EXPECT_TRUE(payload.has_value()) << payload.error().ToString();
        Publish(Topic(MessageType::kDeviceData), *payload);
      }
    }
    const auto last = acked_;
    if (!heard_.wait_for(lock, next_ < store_.size() ? 1ms : 500ms,
                         [&] { return acked_ != last || !born_; })) {
      if (next_ >= store_.size()) next_ = 0;  // no progress: again from the oldest
    }
    return store_.empty();
  }
  void SendRaw(MessageType type, std::string_view payload) {
    EXPECT_TRUE(client_->Publish(Topic(type), payload, 0).has_value());
  }
  bool WaitForCommand(const std::string& id) {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, 20s, [&] { return commands_.contains(id); });
  }
  bool WaitConnected() {
    const auto deadline = steady_clock::now() + 20s;
    std::unique_lock lock(mutex_);
    while (!client_->connected() && steady_clock::now() < deadline) heard_.wait_for(lock, 10ms);
    return client_->connected();
  }

  std::string device() const { return id_ + "/" + std::string(kDevice); }
  uint64_t produced() const { return produced_; }
  const std::set<uint64_t>& dropped() const { return dropped_; }

 private:
  std::string Topic(MessageType type) const {
    return sparkplug::FormatTopic(
        {"edgeloop", type, id_, sparkplug::IsDeviceMessage(type) ? std::string(kDevice) : ""});
  }
  void Publish(const std::string& topic, const std::string& payload) {
    if (int(random_() % 100) < loss_percent_) return;
    (void)client_->Publish(topic, payload, 0);
  }
  void Hear(std::string_view topic, std::string_view payload) {
    const std::lock_guard lock(mutex_);
    if (topic == Topic(MessageType::kNodeCommand)) {
      if (sparkplug::IsRebirthRequest(payload).value_or(false)) born_ = false;
    } else if (auto instruction = sparkplug::ReadDeviceInstruction(payload)) {
      if (instruction->acknowledged) {
        acked_ = std::max<uint64_t>(acked_, instruction->acknowledged->seq);
        while (!store_.empty() && store_.front().seq() <= acked_) {
          store_.pop_front();
          if (next_ > 0) --next_;
        }
      }
      v1::Command command;
      if (command.ParseFromString(instruction->command)) commands_.insert(command.command_id());
    }
    heard_.notify_all();
  }

  const std::string id_;
  const uint64_t bd_seq_ = 0;
  std::mt19937 random_;
  const int loss_percent_;
  sparkplug::RecordEncoder encoder_ = *sparkplug::RecordEncoder::Create(1, {"ch0.rms"});
  sparkplug::SequenceCounter counter_;
  std::mutex mutex_;
  std::condition_variable heard_;
  bool born_ = false;
  uint64_t produced_ = 0;
  uint64_t acked_ = 0;
  size_t next_ = 0;  // index in store_
  std::deque<v1::TelemetryRecord> store_;
  std::set<uint64_t> dropped_;
  std::set<std::string> commands_;
  std::unique_ptr<mqtt::Client> client_;
};

class BridgeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    mqtt_port_ = process::FreePort().value();
    auto config = mqtt_broker::WriteBrokerFiles({.port = mqtt_port_, .tls = ca_.Issue("mosquitto")},
                                                ca_.directory());
    ASSERT_TRUE(config.has_value()) << config.error().ToString();
    mosquitto_.emplace(process::Child::Start({.command = {"mosquitto", "-c", *config},
                                              .output_path = ca_.directory() + "/mosquitto.log"})
                           .value());
    StartStream();
    StartBridge();
  }
  void TearDown() override {
    if (bridge_) EXPECT_EQ(bridge_->Stop(10s), 0);
  }

  void StartStream() {
    stream::BrokerOptions options;
    options.listen.port = uint16_t(stream_port_);
    options.core.data_dir = ca_.directory() + "/stream";
    options.core.groups.initial_rebalance_delay_ms = 50;
    const tls::Files files = ca_.Issue("stream");
    options.tls = files;
    auto broker = stream::Broker::Create(std::move(options));
    ASSERT_TRUE(broker.has_value()) << broker.error().ToString();
    stream_ = std::move(*broker);
    stream_port_ = stream_->port();
  }
  void StartBridge() {
    const tls::Files files = ca_.Issue("bridge");
    const std::string ports = ca_.directory() + "/ports";
    std::filesystem::remove(ports);
    std::ofstream(ca_.directory() + "/bridge.yaml")
        << "mqtt: {port: " << mqtt_port_ << "}\nstream: {bootstrap: \"127.0.0.1:" << stream_port_
        << "\"}\nqueue_messages: 512\nport_file: " << ports << "\ntls: {ca: " << files.ca
        << ", cert: " << files.cert << ", key: " << files.key << "}\n";
    bridge_.emplace(
        process::Child::Start({.command = {EDGELOOP_BIN_DIR "/edgeloop-bridge", "--config",
                                           ca_.directory() + "/bridge.yaml"}})
            .value());
    const auto deadline = steady_clock::now() + 20s;
    while (!std::filesystem::exists(ports)) {
      ASSERT_LT(steady_clock::now(), deadline);
      ASSERT_FALSE(bridge_->WaitFor(20ms).has_value()) << "bridge ended";
    }
    std::ifstream file(ports);
    health_port_ = nlohmann::json::parse(file).at("health");
  }
  void KillBridge() {
    bridge_->Signal(SIGKILL);
    ASSERT_TRUE(bridge_->WaitFor(10s).has_value());
  }
  std::string GetHealth(const std::string& path) {
    auto client =
        http::Client::Create({.port = health_port_, .tls = ca_.Issue("operator", "operator")});
    auto body = (*client)->Call("GET", path);
    return body ? *body : body.error().ToString();
  }
  kafka::ConnectionOptions Connection() {
    return {.bootstrap = "127.0.0.1:" + std::to_string(stream_port_),
            .tls = ca_.Issue("sidecar"),
            .client_id = "test"};
  }
  // Everything of a topic, as it is now or as soon as it has `at_least` records.
  std::vector<kafka::Record> ReadAll(std::string_view topic, int partitions, int64_t at_least = 0) {
    auto consumer =
        kafka::Consumer::Create({.connection = Connection(), .group = "", .fetch_wait_ms = 20})
            .value();
    int64_t left = 0;
    for (int p = 0; p < partitions; ++p) {
      const auto marks = consumer->QueryWatermarks(topic, p, 10s).value();
      left += marks.high - marks.low;
    }
    left = std::max(left, at_least);
    EXPECT_TRUE(consumer->AssignAll({std::string(topic)}, kafka::Consumer::kBeginning).has_value());
    std::vector<kafka::Record> records;
    const auto deadline = steady_clock::now() + 20s;
    while (int64_t(records.size()) < left && steady_clock::now() < deadline) {
      auto record = consumer->Poll(100ms);
      EXPECT_TRUE(record.has_value());
      if (record && *record) records.push_back(std::move(**record));
    }
    EXPECT_EQ(int64_t(records.size()), left);
    return records;
  }
  // The stream has each record of the gateway that was not dropped: once, and in order.
  void ExpectWhole(const Gateway& gateway) {
    std::vector<uint64_t> seqs;
    for (const kafka::Record& record : ReadAll(topics::kTelemetry, 4)) {
      v1::TelemetryRecord message;
      ASSERT_TRUE(message.ParseFromString(record.value));
      if (message.device() != gateway.device()) continue;
      EXPECT_EQ(record.key, gateway.device());
      const auto event = events::FromHeaders(record.headers);
      ASSERT_TRUE(event.has_value()) << event.error().ToString();
      EXPECT_EQ(event->time_ns, message.sensed_at_ns());
      seqs.push_back(message.seq());
    }
    std::vector<uint64_t> expected;
    for (uint64_t seq = 1; seq <= gateway.produced(); ++seq) {
      const bool was_taken = std::ranges::binary_search(seqs, seq);
      if (!gateway.dropped().contains(seq) || was_taken) expected.push_back(seq);
    }
    EXPECT_EQ(seqs, expected);
  }

  tls::TestCa ca_;
  int mqtt_port_ = 0;
  int stream_port_ = 0;
  int health_port_ = 0;
  std::optional<process::Child> mosquitto_;
  std::unique_ptr<stream::Broker> stream_;
  std::optional<process::Child> bridge_;
};

TEST_F(BridgeTest, LossyPathLosesNothing) {
  constexpr uint32_t kSeed = 20;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Gateway gateway(ca_, mqtt_port_, "gw-01", kSeed, 3);
  gateway.Make(300);
  ASSERT_TRUE(gateway.Drain(40s)) << GetHealth("/v1/positions");
  gateway.Make(100);
  gateway.Drop(20);
  gateway.Make(100);
  ASSERT_TRUE(gateway.Drain(40s)) << GetHealth("/v1/positions");
  ExpectWhole(gateway);
  const auto positions = nlohmann::json::parse(GetHealth("/v1/positions"))[gateway.device()];
  EXPECT_EQ(positions["seq"], gateway.produced()) << positions;
  EXPECT_EQ(positions["gaps"], 20) << positions;
  EXPECT_EQ(positions["gaps_explained"], 20) << positions;
  EXPECT_EQ(GetHealth("/readyz").find("error"), std::string::npos);
  EXPECT_NE(GetHealth("/metrics").find("edgeloop_bridge_data_age_seconds_bucket"),
            std::string::npos);
}

TEST_F(BridgeTest, KilledBridgeGoesOnWhereItStopped) {
  Gateway gateway(ca_, mqtt_port_, "gw-01", 21, 1);
  for (int round = 0; round < 3; ++round) {
    gateway.Make(400);
    for (int i = 0; i < 10 + 20 * round; ++i) gateway.Pump();
    KillBridge();
    gateway.Pump();
    StartBridge();
  }
  ASSERT_TRUE(gateway.Drain(60s)) << GetHealth("/v1/positions");
  ExpectWhole(gateway);
  // A clean stop writes the positions: nothing is replayed after that.
  EXPECT_EQ(bridge_->Stop(10s), 0);
  bridge_.reset();
  const auto written = ReadAll(topics::kPositions, 1);
  ASSERT_FALSE(written.empty());
  v1::Positions positions;
  ASSERT_TRUE(positions.ParseFromString(written.back().value));
  EXPECT_EQ(positions.devices().at(gateway.device()).seq(), gateway.produced());
}

TEST_F(BridgeTest, StreamAwayHoldsRecordsAtTheDevice) {
  Gateway gateway(ca_, mqtt_port_, "gw-01", 22, 0);
  gateway.Make(100);
  ASSERT_TRUE(gateway.Drain(40s));
  stream_.reset();
  gateway.Make(2'000);  // more than the bridge's queue
  for (int i = 0; i < 40; ++i) gateway.Pump();
  EXPECT_FALSE(gateway.Pump()) << "acknowledged without being durable";
  StartStream();
  ASSERT_TRUE(gateway.Drain(60s)) << GetHealth("/v1/positions");
  ExpectWhole(gateway);
}

TEST_F(BridgeTest, CommandsReachTheDeviceAndHostilePayloadsTheDeadLetters) {
  Gateway gateway(ca_, mqtt_port_, "gw-01", 23, 0);
  Gateway other(ca_, mqtt_port_, "gw-02", 24, 0);
  gateway.Make(1);
  other.Make(1);
  ASSERT_TRUE(gateway.Drain(40s));
  ASSERT_TRUE(other.Drain(40s));
  gateway.SendRaw(MessageType::kDeviceData, "not protobuf");
  std::string many;
  for (int i = 0; i < 5'000; ++i) many += std::string("\x12\x00", 2);
  other.SendRaw(MessageType::kDeviceBirth, many);

  auto producer = kafka::Producer::Create({.connection = Connection()}).value();
  v1::Command command;
  command.set_command_id("c-1");
  command.set_device(gateway.device());
  command.mutable_reset_contactor();
  const auto send = [&](const std::string& value) {
    auto sent = producer->ProduceSync(
        {.topic = topics::kCommands, .key = command.device(), .value = value, .headers = {}}, 10s);
    ASSERT_TRUE(sent.has_value()) << sent.error().ToString();
  };
  send("\xff hostile");
  send(command.SerializeAsString());
  EXPECT_TRUE(gateway.WaitForCommand("c-1"));

  // Records of both still flow, and both messages are kept with the reason.
  gateway.Make(1);
  other.Make(1);
  ASSERT_TRUE(gateway.Drain(40s));
  ASSERT_TRUE(other.Drain(40s));
  const auto dead = ReadAll(topics::kTelemetryDlq, 1, 2);
  ASSERT_EQ(dead.size(), 2u);
  for (const kafka::Record& record : dead) {
    ASSERT_EQ(record.headers.size(), 1u);
    EXPECT_EQ(record.headers[0].first, "reason");
    EXPECT_FALSE(record.headers[0].second.empty());
  }
  ExpectWhole(gateway);
  ExpectWhole(other);
}

}  // namespace
}  // namespace edgeloop::bridge
