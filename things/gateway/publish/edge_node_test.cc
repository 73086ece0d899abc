// The edge node against a real mosquitto; the test plays the bridge.
#include "things/gateway/publish/edge_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <thread>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"
#include "runtime/fs/fault_file_system.h"
#include "runtime/mqtt/test_broker.h"

namespace edgeloop::gateway {
namespace {

using sparkplug::MessageType;

struct Heard {
  sparkplug::Topic topic;
  sparkplug::Proto payload;
};

// A subscriber that keeps all it hears and can wait for more.
class Listener {
 public:
  Listener(int port, tls::Files files) {
    mqtt::Client::Options options{.port = port, .tls = std::move(files), .client_id = "bridge"};
    options.on_connected = [this] {
      EXPECT_TRUE(client_->Subscribe("spBv1.0/#", 1).has_value());
      // Comes back when the subscription stands.
      EXPECT_TRUE(client_->Publish("spBv1.0/edgeloop/NDATA/probe", "", 1).has_value());
    };
    options.on_message = [this](std::string_view text, std::string_view bytes) {
      auto topic = sparkplug::ParseTopic(text);
      ASSERT_TRUE(topic.has_value()) << text;
      std::lock_guard lock(mutex_);
      if (topic->node == "probe") {
        ready_ = true;
      } else if (topic->type != MessageType::kDeviceCommand) {
        Heard heard{*topic, {}};
        ASSERT_TRUE(sparkplug::ParsePayload(bytes, &heard.payload).has_value()) << text;
        heard_.push_back(std::move(heard));
      }
      changed_.notify_all();
    };
    client_ = std::move(*mqtt::Client::Create(std::move(options)));
    EXPECT_TRUE(client_->Start().has_value());
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return ready_; }));
  }

  // The messages so far, once `enough` says so of them.
  template <typename Enough>
  std::vector<Heard> WaitFor(Enough enough) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return enough(heard_); }));
    return heard_;
  }
  std::vector<Heard> WaitForCount(MessageType type, size_t count) {
    return WaitFor([&](const std::vector<Heard>& heard) { return Count(heard, type) >= count; });
  }
  static size_t Count(const std::vector<Heard>& heard, MessageType type) {
    return static_cast<size_t>(
        std::ranges::count_if(heard, [&](const Heard& h) { return h.topic.type == type; }));
  }
  void Clear() {
    std::lock_guard lock(mutex_);
    heard_.clear();
  }
  mqtt::Client& client() { return *client_; }

 private:
  std::unique_ptr<mqtt::Client> client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false;
  std::vector<Heard> heard_;
};

class EdgeNodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sets_ = std::move(*FeatureSets::Load(fs_, "sets"));
    ASSERT_TRUE(sets_->Add(kDigest, {"ch0.rms", "ch0.peak"}).has_value());
    ASSERT_TRUE(sets_->Add(kOtherDigest, {"ch0.rms", "ch0.crest"}).has_value());
    listener_ = std::make_unique<Listener>(broker_.port(), ca_.Issue("bridge"));
    NewNode();
  }
  void TearDown() override { node_.reset(); }

  void NewNode() {
    node_.reset();
    auto node = EdgeNode::Create({.gateway_id = "gw-01",
                                  .mqtt_port = broker_.port(),
                                  .tls = ca_.Issue("gw-01", "device"),
                                  .sync_interval_ms = 20},
                                 *sets_, metrics_.emplace_back());
    ASSERT_TRUE(node.has_value()) << node.error().ToString();
    node_ = std::move(*node);
    auto store = RecordStore::Open(fs_, {.dir = "store",
                                         .now_ns = [] { return uint64_t{1}; },
                                         .on_append = [this](bool now) { node_->Wake(now); }});
    ASSERT_TRUE(store.has_value());
    store_ = std::move(*store);
    ASSERT_TRUE(node_
                    ->AddDevice({.id = *DeviceId::Create("gw-01", "motor-01"),
                                 .store = store_.get(),
                                 .feature_names = {"ch0.rms", "ch0.peak"},
                                 .model_state = [] { return std::string("confirmed"); },
                                 .on_command =
                                     [this](std::string_view command) {
                                       std::lock_guard lock(mutex_);
                                       commands_.emplace_back(command);
                                       changed_.notify_all();
                                     }})
                    .has_value());
  }

  void AppendFeatures(int count, const std::string& digest = kDigest) {
    for (int i = 0; i < count; ++i) {
      v1::TelemetryRecord record;
      record.set_sensed_at_ns(1'000);
      record.set_model_digest(digest);
      record.add_features(static_cast<float>(i));
      record.add_features(0.5f);
      store_->Append(Kind::kFeatures, record.SerializeAsString());
    }
  }

  // Decodes DDATA as the bridge does, across births.
  std::vector<std::pair<v1::TelemetryRecord, sparkplug::RecordDecoder::Data>> Decode(
      const std::vector<Heard>& heard) {
    std::vector<std::pair<v1::TelemetryRecord, sparkplug::RecordDecoder::Data>> records;
    std::optional<sparkplug::RecordDecoder> decoder;
    for (const Heard& h : heard) {
      if (h.topic.type == MessageType::kDeviceBirth) {
        auto made = sparkplug::RecordDecoder::FromBirth(h.payload);
        EXPECT_TRUE(made.has_value()) << made.error().ToString();
        decoder = std::move(*made);
      }
      if (h.topic.type != MessageType::kDeviceData || !decoder) continue;
      v1::TelemetryRecord record;
      auto data = decoder->Decode(h.payload, &record);
      EXPECT_TRUE(data.has_value()) << data.error().ToString();
      if (data) records.push_back({std::move(record), *data});
    }
    return records;
  }

  void Acknowledge(uint64_t boot, uint64_t seq) {
    ASSERT_TRUE(listener_->client()
                    .Publish("spBv1.0/edgeloop/DCMD/gw-01/motor-01",
                             sparkplug::Acknowledgement({boot, seq}, 1), 1)
                    .has_value());
  }

  static inline const std::string kDigest = "sha256:" + std::string(64, 'a');
  static inline const std::string kOtherDigest = "sha256:" + std::string(64, 'b');

  tls::TestCa ca_;
  mqtt::TestBroker broker_{ca_};
  fs::FaultFileSystem fs_{1};
  std::list<metrics::Registry> metrics_;
  std::unique_ptr<FeatureSets> sets_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<RecordStore> store_;
  std::unique_ptr<EdgeNode> node_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> commands_;
};

TEST_F(EdgeNodeTest, BirthsThenRecordsInOneSequence) {
  AppendFeatures(300);  // so that the sequence goes round
  ASSERT_TRUE(node_->Start().has_value());
  const auto heard = listener_->WaitForCount(MessageType::kDeviceData, 300);
  ASSERT_EQ(heard[0].topic.type, MessageType::kNodeBirth);
  ASSERT_EQ(heard[1].topic.type, MessageType::kDeviceBirth);
  EXPECT_EQ(*sparkplug::BirthDeathSequenceOf(heard[0].payload), 0u);
  for (size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(*sparkplug::SequenceOf(heard[i].payload), i % 256);
  }
  for (const auto& metric : heard.back().payload.metrics()) {
    EXPECT_FALSE(metric.has_name());
    EXPECT_TRUE(metric.has_alias());
  }
  const auto records = Decode(heard);
  ASSERT_EQ(records.size(), 300u);
  for (uint64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(records[i].first.seq(), i + 1);
    EXPECT_EQ(records[i].second.previous_seq, i);
    EXPECT_FALSE(records[i].second.historical);
    EXPECT_EQ(records[i].first.features(0), static_cast<float>(i));
    EXPECT_EQ(records[i].first.feature_names(1), "ch0.peak");
  }
}

TEST_F(EdgeNodeTest, StopsAtTheWindowAndGoesOnWithAcknowledgements) {
  AppendFeatures(700);
  ASSERT_TRUE(node_->Start().has_value());
  listener_->WaitForCount(MessageType::kDeviceData, SendWindow::kMaxRecords);
  EXPECT_EQ(store_->stats().acked_seq, 0u);
  Acknowledge(1, 512);
  const auto heard = listener_->WaitFor([&](const auto& h) {
    const auto records = Decode(h);
    return !records.empty() && records.back().first.seq() == 700;
  });
  EXPECT_GE(Listener::Count(heard, MessageType::kDeviceData), 700u);
  EXPECT_EQ(store_->stats().acked_seq, 512u);
}

TEST_F(EdgeNodeTest, RebirthRequestBringsBirthsAndTheUnacknowledgedAgain) {
  AppendFeatures(5);
  ASSERT_TRUE(node_->Start().has_value());
  listener_->WaitForCount(MessageType::kDeviceData, 5);
  Acknowledge(1, 2);
  ASSERT_TRUE(listener_->client()
                  .Publish("spBv1.0/edgeloop/NCMD/gw-01", sparkplug::RebirthRequest(1), 1)
                  .has_value());
  const auto heard = listener_->WaitFor([](const auto& h) {
    return Listener::Count(h, MessageType::kNodeBirth) >= 2 &&
           Listener::Count(h, MessageType::kDeviceData) >= 8;
  });
  // The births of a rebirth keep the bdSeq of the connection and begin the sequence anew.
  const auto birth = std::ranges::find_if(heard.begin() + 1, heard.end(), [](const Heard& h) {
    return h.topic.type == MessageType::kNodeBirth;
  });
  EXPECT_EQ(*sparkplug::BirthDeathSequenceOf(birth->payload), 0u);
  EXPECT_EQ(*sparkplug::SequenceOf(birth->payload), 0);
  const auto records = Decode({birth, heard.end()});
  ASSERT_GE(records.size(), 3u);
  EXPECT_EQ(records[0].first.seq(), 3u);
  EXPECT_EQ(records[0].second.previous_seq, 2u);
  EXPECT_TRUE(records[0].second.historical);
  EXPECT_EQ(node_->resent(0), 3u);
}

TEST_F(EdgeNodeTest, ResendsWhenNoAcknowledgementComes) {
  AppendFeatures(3);
  ASSERT_TRUE(node_->Start().has_value());
  const auto heard = listener_->WaitForCount(MessageType::kDeviceData, 6);
  const auto records = Decode(heard);
  EXPECT_EQ(records[3].first.seq(), 1u);
  EXPECT_TRUE(records[3].second.historical);
  EXPECT_EQ(records[3].first.boot(), 1u);
}

TEST_F(EdgeNodeTest, BrokerKilledMeansAWillANewBdSeqAndNothingLost) {
  AppendFeatures(3);
  ASSERT_TRUE(node_->Start().has_value());
  listener_->WaitForCount(MessageType::kDeviceData, 3);
  broker_.Kill();
  AppendFeatures(4);
  listener_->Clear();
  broker_.Restart();
  // The listener may come back after the gateway's births: it asks, as the bridge does.
  const auto asked = [&] {
    return listener_->client()
        .Publish("spBv1.0/edgeloop/NCMD/gw-01", sparkplug::RebirthRequest(1), 1)
        .has_value();
  };
  while (!listener_->client().connected() || !node_->connected()) std::this_thread::yield();
  ASSERT_TRUE(asked());
  const auto heard = listener_->WaitFor([&](const auto& h) {
    const auto records = Decode(h);
    return !records.empty() && records.back().first.seq() == 7;
  });
  uint64_t bd_seq = 0;
  for (const Heard& h : heard) {
    if (h.topic.type == MessageType::kNodeBirth) {
      bd_seq = *sparkplug::BirthDeathSequenceOf(h.payload);
    }
  }
  EXPECT_GE(bd_seq, 1u);
}

TEST_F(EdgeNodeTest, CleanStopSaysGoodbyeAndKeepsTheAcknowledgement) {
  AppendFeatures(2);
  ASSERT_TRUE(node_->Start().has_value());
  listener_->WaitForCount(MessageType::kDeviceData, 2);
  Acknowledge(1, 2);
  // The acknowledgement has been taken when a record sent after it says so.
  while (store_->stats().acked_seq != 2) std::this_thread::yield();
  node_->Stop();
  const auto heard = listener_->WaitForCount(MessageType::kNodeDeath, 1);
  EXPECT_EQ(Listener::Count(heard, MessageType::kDeviceDeath), 1u);
  EXPECT_EQ(*sparkplug::BirthDeathSequenceOf(heard.back().payload), 0u);
  NewNode();
  EXPECT_EQ(store_->stats().acked_seq, 2u);
  EXPECT_EQ(store_->boot(), 2u);
}

TEST_F(EdgeNodeTest, AnotherModelsFeaturesBringANewBirth) {
  AppendFeatures(2);
  AppendFeatures(2, kOtherDigest);
  AppendFeatures(1);
  ASSERT_TRUE(node_->Start().has_value());
  const auto heard = listener_->WaitForCount(MessageType::kDeviceData, 5);
  EXPECT_EQ(Listener::Count(heard, MessageType::kDeviceBirth), 3u);
  const auto records = Decode(heard);
  EXPECT_EQ(records[1].first.feature_names(1), "ch0.peak");
  EXPECT_EQ(records[2].first.feature_names(1), "ch0.crest");
  EXPECT_EQ(records[4].first.feature_names(1), "ch0.peak");
}

TEST_F(EdgeNodeTest, LossRecordsArriveAsSuch) {
  AppendFeatures(1);
  for (int i = 0; i < 8; ++i) store_->Append(Kind::kRaw, std::string(100'000, 'x'));  // no memory
  ASSERT_GT(store_->stats().dropped.raw, 0u);
  store_->Append(Kind::kLoss, EncodeLoss({.first_seq = 2, .last_seq = 3, .counts = {2, 0, 0}}));
  ASSERT_TRUE(node_->Start().has_value());
  const auto heard = listener_->WaitFor([&](const auto& h) {
    return std::ranges::any_of(Decode(h), [](const auto& r) { return r.first.has_loss(); });
  });
  for (const auto& [record, data] : Decode(heard)) {
    if (!record.has_loss()) continue;
    EXPECT_EQ(record.kind(), v1::LOSS);
    EXPECT_GT(record.loss().raw(), 0u);
    // What is no TelemetryRecord was skipped, and the chain does not name it.
    EXPECT_EQ(data.previous_seq, 1u);
    break;
  }
}

TEST_F(EdgeNodeTest, CommandsArrive) {
  ASSERT_TRUE(node_->Start().has_value());
  listener_->WaitForCount(MessageType::kDeviceBirth, 1);
  v1::Command command;
  command.set_command_id("c1");
  command.set_device("gw-01/motor-01");
  command.mutable_reset_contactor();
  for (const char* bad : {"", "\xff\xff", "nonsense"}) {
    (void)listener_->client().Publish("spBv1.0/edgeloop/DCMD/gw-01/motor-01", bad, 1);
  }
  ASSERT_TRUE(
      listener_->client()
          .Publish("spBv1.0/edgeloop/DCMD/gw-01/motor-01", sparkplug::DeviceCommand(command, 1), 1)
          .has_value());
  std::unique_lock lock(mutex_);
  ASSERT_TRUE(
      changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !commands_.empty(); }));
  v1::Command received;
  ASSERT_TRUE(received.ParseFromString(commands_.front()));
  EXPECT_EQ(received.command_id(), "c1");
}

}  // namespace
}  // namespace edgeloop::gateway
