#include "runtime/mqtt/mqtt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "runtime/mqtt/test_broker.h"

namespace edgeloop::mqtt {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// What a client saw, and waiting for it.
class Seen {
 public:
  void Add(std::string what) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(what));
    changed_.notify_all();
  }
  // False when `count` events "equal to what" have not come within 20 s.
  bool WaitFor(const std::string& what, int count = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return std::count(events_.begin(), events_.end(), what) >= count;
    });
  }
  std::vector<std::string> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

class MqttTest : public testing::Test {
 protected:
  std::unique_ptr<Client> NewClient(const std::string& name, Seen& seen,
                                    const std::string& filter = "") {
    Client::Options options = OptionsOf(name, seen);
    options.on_connected = [this, &seen, filter, name] {
      if (!filter.empty()) EXPECT_TRUE(clients_.at(name)->Subscribe(filter, 1));
      seen.Add("connected");
    };
    return Create(std::move(options), name);
  }
  Client::Options OptionsOf(const std::string& name, Seen& seen) {
    return {.port = broker_.port(),
            .tls = ca_.Issue(name),
            .client_id = name,
            .on_disconnected = [&seen](std::string_view) { seen.Add("disconnected"); },
            .on_message =
                [&seen](std::string_view topic, std::string_view payload) {
                  seen.Add(std::string(topic) + "=" + std::string(payload));
                }};
  }
  std::unique_ptr<Client> Create(Client::Options options, const std::string& name) {
    auto client = Client::Create(std::move(options));
    EXPECT_TRUE(client) << client.error().message();
    clients_[name] = client->get();
    return std::move(*client);
  }

  tls::TestCa ca_;
  TestBroker broker_{ca_};
  std::map<std::string, Client*> clients_;
};

TEST_F(MqttTest, MessagesArrive) {
  Seen seen;
  auto reader = NewClient("reader", seen, "a/#");
  ASSERT_TRUE(reader->Start());
  ASSERT_TRUE(seen.WaitFor("connected"));
  EXPECT_TRUE(reader->connected());
  // Subscribed for sure once its own message came back.
  ASSERT_TRUE(reader->Publish("a/self", "", 1));
  ASSERT_TRUE(seen.WaitFor("a/self="));

  Seen writer_seen;
  auto writer = NewClient("writer", writer_seen);
  const Status early = writer->Publish("a/b", "x", 0);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(writer->Start());
  ASSERT_TRUE(writer_seen.WaitFor("connected"));
  for (int qos = 0; qos < 2; ++qos) {
    ASSERT_TRUE(writer->Publish("a/q" + std::to_string(qos), "hello", qos));
  }
  EXPECT_TRUE(seen.WaitFor("a/q0=hello"));
  EXPECT_TRUE(seen.WaitFor("a/q1=hello"));
  writer->Stop();
  EXPECT_FALSE(writer->connected());
  EXPECT_THAT(writer_seen.events(), ElementsAre("connected", "disconnected"));
}

TEST_F(MqttTest, StopSendsWhatWaits) {
  Seen seen;
  auto reader = NewClient("reader", seen, "a/#");
  ASSERT_TRUE(reader->Start());
  ASSERT_TRUE(seen.WaitFor("connected"));
  ASSERT_TRUE(reader->Publish("a/self", "", 1));
  ASSERT_TRUE(seen.WaitFor("a/self="));
  Seen writer_seen;
  auto writer = NewClient("writer", writer_seen);
  ASSERT_TRUE(writer->Start());
  ASSERT_TRUE(writer_seen.WaitFor("connected"));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(writer->Publish("a/b", std::to_string(i), i % 2));
  }
  writer->Stop(10'000);
  EXPECT_TRUE(seen.WaitFor("a/b=298"));
  EXPECT_TRUE(seen.WaitFor("a/b=299"));
}

TEST_F(MqttTest, ReconnectsWithANewWillEachTime) {
  Seen watcher_seen;
  auto watcher = NewClient("watcher", watcher_seen, "will");
  ASSERT_TRUE(watcher->Start());
  ASSERT_TRUE(watcher_seen.WaitFor("connected"));

  Seen seen;
  Client::Options options = OptionsOf("gw-01", seen);
  int births = 0;
  options.will = [&births] { return Will{"will", "bdSeq " + std::to_string(births++)}; };
  options.on_connected = [&seen] { seen.Add("connected"); };
  auto client = Create(std::move(options), "gw-01");
  ASSERT_TRUE(client->Start());
  ASSERT_TRUE(seen.WaitFor("connected"));

  broker_.Kill();
  ASSERT_TRUE(seen.WaitFor("disconnected"));
  EXPECT_FALSE(client->connected());
  // Kept for the next connection.
  ASSERT_TRUE(client->Publish("will", "kept", 1));
  broker_.Restart();
  ASSERT_TRUE(watcher_seen.WaitFor("connected", 2));
  ASSERT_TRUE(seen.WaitFor("connected", 2));
  ASSERT_TRUE(watcher->Publish("will", "ready", 1));
  ASSERT_TRUE(watcher_seen.WaitFor("will=ready"));
  ASSERT_TRUE(client->Publish("will", "back", 1));
  ASSERT_TRUE(watcher_seen.WaitFor("will=back"));

  // A second client of the same id throws the first one out: the broker publishes its will.
  Seen usurper_seen;
  auto usurper = Client::Create([&] {
    Client::Options same = OptionsOf("gw-01", usurper_seen);
    same.on_connected = [&usurper_seen] { usurper_seen.Add("connected"); };
    return same;
  }());
  ASSERT_TRUE(usurper);
  ASSERT_TRUE((*usurper)->Start());
  // 0 was the will of the broken connection; attempts while the broker was away may have used up
  // more. The will comes before what the usurper publishes.
  ASSERT_TRUE(usurper_seen.WaitFor("connected"));
  ASSERT_TRUE((*usurper)->Publish("will", "taken over", 1));
  ASSERT_TRUE(watcher_seen.WaitFor("will=taken over"));
  (*usurper)->Stop();
  client->Stop();
  const std::vector<std::string> events = watcher_seen.events();
  EXPECT_THAT(events, Contains(HasSubstr("will=bdSeq ")));
  EXPECT_THAT(events, Not(Contains("will=bdSeq 0")));
}

TEST_F(MqttTest, StopLeavesNoWill) {
  Seen watcher_seen;
  auto watcher = NewClient("watcher", watcher_seen, "#");
  ASSERT_TRUE(watcher->Start());
  ASSERT_TRUE(watcher_seen.WaitFor("connected"));
  ASSERT_TRUE(watcher->Publish("first", "", 1));
  ASSERT_TRUE(watcher_seen.WaitFor("first="));
  Seen seen;
  Client::Options options = OptionsOf("gw-01", seen);
  options.will = [] { return Will{"will", "dead"}; };
  options.on_connected = [&seen] { seen.Add("connected"); };
  auto client = Create(std::move(options), "gw-01");
  ASSERT_TRUE(client->Start());
  ASSERT_TRUE(seen.WaitFor("connected"));
  client.reset();
  ASSERT_TRUE(watcher->Publish("last", "", 1));
  ASSERT_TRUE(watcher_seen.WaitFor("last="));
  EXPECT_THAT(watcher_seen.events(), ElementsAre("connected", "first=", "last="));
}

TEST_F(MqttTest, StrangersStayOutside) {
  tls::TestCa other;
  Seen seen;
  Client::Options options = OptionsOf("gw-01", seen);
  options.tls = other.Issue("gw-01");
  options.tls.ca = ca_.ca_path();
  options.on_connected = [&seen] { seen.Add("connected"); };
  std::mutex mutex;
  std::condition_variable changed;
  int attempts = 0;
  options.will = [&]() -> std::optional<Will> {
    const std::lock_guard lock(mutex);
    ++attempts;
    changed.notify_all();
    return std::nullopt;
  };
  auto client = Create(std::move(options), "gw-01");
  ASSERT_TRUE(client->Start());
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return attempts >= 3; }));
  }
  client->Stop();
  EXPECT_THAT(seen.events(), ElementsAre());
}

TEST_F(MqttTest, QueueIsBounded) {
  Seen seen;
  Client::Options options = OptionsOf("gw-01", seen);
  options.max_queued = 3;
  options.on_connected = [&seen] { seen.Add("connected"); };
  auto client = Create(std::move(options), "gw-01");
  broker_.Kill();
  ASSERT_TRUE(client->Start());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client->Publish("a", "x", 1)) << i;
  const Status full = client->Publish("a", "x", 1);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), ErrorCode::kUnavailable);
}

TEST_F(MqttTest, BadOptionsAreErrors) {
  EXPECT_FALSE(Client::Create({.tls = {"/no/ca", "/no/cert", "/no/key"}, .client_id = "x"}));
}

}  // namespace
}  // namespace edgeloop::mqtt
