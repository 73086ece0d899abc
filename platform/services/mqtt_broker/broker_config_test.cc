// The files as text, and what they do in a real mosquitto.
#include "platform/services/mqtt_broker/broker_config.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>

#include "runtime/mqtt/mqtt.h"
#include "runtime/process/child.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::mqtt_broker {
namespace {

using namespace std::chrono_literals;

TEST(BrokerConfigTest, ValuesCannotAddOptions) {
  const tls::Files files{"ca.pem", "cert.pem", "key.pem"};
  EXPECT_TRUE(BrokerConfig({.tls = files}, "acl").has_value());
  EXPECT_FALSE(BrokerConfig({.host = "a\nallow_anonymous true", .tls = files}, "acl").has_value());
  EXPECT_FALSE(BrokerConfig({.tls = {"ca.pem", "", "key.pem"}}, "acl").has_value());
  EXPECT_FALSE(BrokerAcl("edgeloop\nuser x").has_value());
  EXPECT_FALSE(BrokerAcl("#").has_value());
}

// A client that remembers what it hears.
class Listener {
 public:
  Listener(const tls::Files& files, int port, std::string client_id,
           std::vector<std::string> filters = {}) {
    mqtt::Client::Options options;
    options.port = port;
    options.tls = files;
    options.client_id = std::move(client_id);
    options.on_connected = [this, filters] {
      for (const std::string& filter : filters) (void)client_->Subscribe(filter, 1);
    };
    options.on_message = [this](std::string_view topic, std::string_view payload) {
      const std::lock_guard lock(mutex_);
      heard_.insert(std::string(topic) + "=" + std::string(payload));
      changed_.notify_all();
    };
    client_ = mqtt::Client::Create(std::move(options)).value();
    EXPECT_TRUE(client_->Start().has_value());
  }
  bool Connects(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::unique_lock lock(mutex_);
    while (!client_->connected() && std::chrono::steady_clock::now() < deadline) {
      changed_.wait_for(lock, 20ms);
    }
    return client_->connected();
  }
  // Repeated, since a subscription may not be there yet.
  bool Hears(const std::string& what, const std::function<void()>& send) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    std::unique_lock lock(mutex_);
    while (!heard_.contains(what) && std::chrono::steady_clock::now() < deadline) {
      lock.unlock();
      send();
      lock.lock();
      changed_.wait_for(lock, 100ms, [&] { return heard_.contains(what); });
    }
    return heard_.contains(what);
  }
  std::set<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  void Send(const std::string& topic, const std::string& payload) {
    (void)client_->Publish(topic, payload, 1);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> heard_;
  std::unique_ptr<mqtt::Client> client_;
};

class BrokerTest : public testing::Test {
 protected:
  void SetUp() override {
    port_ = process::FreePort().value();
    auto config = WriteBrokerFiles({.port = port_, .tls = ca_.Issue("mosquitto")}, ca_.directory());
    ASSERT_TRUE(config.has_value()) << config.error().ToString();
    mosquitto_.emplace(process::Child::Start({.command = {"mosquitto", "-c", *config},
                                              .output_path = ca_.directory() + "/log"})
                           .value());
  }
  tls::TestCa ca_;
  int port_ = 0;
  std::optional<process::Child> mosquitto_;
};

TEST_F(BrokerTest, RefusesStrangers) {
  Listener bridge(ca_.Issue("bridge"), port_, "bridge");
  ASSERT_TRUE(bridge.Connects(20s));
  tls::TestCa foreign;
  Listener stranger({ca_.ca_path(), foreign.Issue("bridge").cert, foreign.Issue("bridge").key},
                    port_, "bridge");
  Listener anonymous({.ca = ca_.ca_path()}, port_, "bridge");
  Listener expired(ca_.Issue("gw-09", "device", -60), port_, "gw-09");
  EXPECT_FALSE(stranger.Connects(700ms));
  EXPECT_FALSE(anonymous.Connects(200ms));
  EXPECT_FALSE(expired.Connects(200ms));
  EXPECT_TRUE(bridge.Connects(0ms));
}

TEST_F(BrokerTest, GatewaysSpeakAsThemselvesAlone) {
  Listener bridge(ca_.Issue("bridge"), port_, "bridge", {"spBv1.0/#"});
  // It claims the bridge's client id, which must not throw the bridge out, and asks for everything.
  Listener gateway(ca_.Issue("gw-01", "device"), port_, "bridge",
                   {"#", "spBv1.0/edgeloop/+/gw-02"});
  Listener other(ca_.Issue("gw-02", "device"), port_, "gw-02", {"spBv1.0/edgeloop/DCMD/gw-02/#"});
  ASSERT_TRUE(bridge.Connects(20s));
  ASSERT_TRUE(gateway.Connects(20s));
  ASSERT_TRUE(other.Connects(20s));

  for (const char* topic :
       {"spBv1.0/edgeloop/DDATA/gw-02/m", "spBv1.0/edgeloop/NBIRTH/gw-02",
        "spBv1.0/edgeloop/NCMD/gw-02", "spBv1.0/edgeloop/DCMD/gw-02/m",
        "spBv1.0/edgeloop/NCMD/gw-01", "spBv1.0/edgeloop/DCMD/gw-01/m", "spBv1.0/STATE/x",
        "spBv1.0/other/NBIRTH/gw-01", "spBv1.0/edgeloop/DDATA/gw-01/m/x", "any"}) {
    gateway.Send(topic, "forged");
  }
  for (const char* type : {"NBIRTH", "NDATA", "NDEATH"}) {
    const std::string topic = std::string("spBv1.0/edgeloop/") + type + "/gw-01";
    EXPECT_TRUE(bridge.Hears(topic + "=own", [&] { gateway.Send(topic, "own"); })) << topic;
  }
  for (const char* type : {"DBIRTH", "DDATA", "DDEATH"}) {
    const std::string topic = std::string("spBv1.0/edgeloop/") + type + "/gw-01/m";
    EXPECT_TRUE(bridge.Hears(topic + "=own", [&] { gateway.Send(topic, "own"); })) << topic;
  }
  // Everything forged was sent before, on the same connection.
  for (const std::string& message : bridge.heard()) {
    EXPECT_EQ(message.find("forged"), std::string::npos) << message;
  }

  EXPECT_TRUE(other.Hears("spBv1.0/edgeloop/DCMD/gw-02/m=command",
                          [&] { bridge.Send("spBv1.0/edgeloop/DCMD/gw-02/m", "command"); }));
  EXPECT_TRUE(gateway.Hears("spBv1.0/edgeloop/NCMD/gw-01=rebirth",
                            [&] { bridge.Send("spBv1.0/edgeloop/NCMD/gw-01", "rebirth"); }));
  EXPECT_TRUE(gateway.Hears("spBv1.0/STATE/host=online",
                            [&] { bridge.Send("spBv1.0/STATE/host", "online"); }));
  for (const std::string& message : gateway.heard()) {
    EXPECT_EQ(message.find("gw-02"), std::string::npos) << message;
  }
  EXPECT_TRUE(bridge.Connects(0ms)) << "thrown out by its client id";
}

}  // namespace
}  // namespace edgeloop::mqtt_broker
