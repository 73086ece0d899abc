// The broker against real clients: librdkafka in this process, kcat beside it.
#include "platform/services/stream/broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "platform/services/stream/test_clients/kafka_client.h"
#include "runtime/fs/fault_file_system.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::stream {
namespace {

using test::Consumed;
using test::Consumer;
using test::Producer;
using ::testing::HasSubstr;

// Until `condition` holds; false when it does not within 30 s.
bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
  return true;
}

std::string RunCommand(const std::string& command, int* status) {
  std::string output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), count);
  }
  *status = ::pclose(pipe);
  return output;
}

class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() {
    dir_ = ::testing::TempDir() + "edgeloop-stream-XXXXXX";
    EXPECT_NE(::mkdtemp(dir_.data()), nullptr);
  }
  ~BrokerTest() override {
    broker_.reset();
    EXPECT_TRUE(fs::RemoveTree(fs::PosixFileSystem(), dir_));
  }

  BrokerOptions Options() {
    BrokerOptions options;
    options.listen.port = port_;
    options.core.data_dir = dir_ + "/data";
    options.core.groups.initial_rebalance_delay_ms = 50;
    options.notice = [](bool error, const std::string& text) {
      std::fprintf(stderr, "[broker] %s%s\n", error ? "ERROR " : "", text.c_str());
    };
    return options;
  }

  // Again on the same port, when it ran before.
  void Start(const std::function<void(BrokerOptions*)>& change = {}) {
    broker_.reset();
    metrics_ = std::make_unique<metrics::Registry>();
    BrokerOptions options = Options();
    options.metrics = metrics_.get();
    if (change) change(&options);
    auto broker = Broker::Create(std::move(options));
    ASSERT_TRUE(broker) << broker.error().ToString();
    broker_ = std::move(*broker);
    port_ = broker_->port();
  }

  std::string dir_;
  uint16_t port_ = 0;
  std::unique_ptr<metrics::Registry> metrics_;
  std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerTest, IdempotentProducerThenReadBack) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 2, {}}}; });
  constexpr int kRecords = 10000;
  {
    Producer producer(port_);
    for (int i = 0; i < kRecords; ++i) {
      producer.Send("t", i % 2, "k" + std::to_string(i), "value " + std::to_string(i));
    }
    ASSERT_TRUE(producer.Flush());
    EXPECT_TRUE(producer.failed().empty());
    EXPECT_EQ(producer.delivered().size(), size_t{kRecords});
  }
  for (const bool restarted : {false, true}) {
    SCOPED_TRACE(restarted ? "after a restart" : "before");
    if (restarted) Start();
    for (int32_t partition = 0; partition < 2; ++partition) {
      const auto all = test::ReadAll(port_, "t", partition);
      ASSERT_EQ(all.size(), size_t{kRecords / 2});
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(all[i].offset, static_cast<int64_t>(i));
        ASSERT_EQ(all[i].value, "value " + std::to_string(2 * i + static_cast<size_t>(partition)));
      }
    }
  }
}

TEST_F(BrokerTest, EveryCompressionPassesThrough) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  std::vector<std::string> expected;
  for (const char* codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
    Producer producer(port_, {{"compression.type", codec}, {"linger.ms", "50"}});
    for (int i = 0; i < 200; ++i) {
      expected.push_back(std::string(codec) + std::string(100, 'x') + std::to_string(i));
      producer.Send("t", 0, "", expected.back());
    }
    ASSERT_TRUE(producer.Flush());
    ASSERT_TRUE(producer.failed().empty()) << codec << ": " << producer.failed().front();
  }
  const auto all = test::ReadAll(port_, "t", 0);
  ASSERT_EQ(all.size(), expected.size());
  for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].value, expected[i]);
}

TEST_F(BrokerTest, ProducerGoesOnOverARestart) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  for (int i = 0; i < 3000; ++i) {
    producer.Send("t", 0, "", std::to_string(i));
    if (i % 1000 == 500) Start();
  }
  ASSERT_TRUE(producer.Flush());
  ASSERT_TRUE(producer.failed().empty());
  const auto all = test::ReadAll(port_, "t", 0);
  ASSERT_EQ(all.size(), 3000u);
  for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].value, std::to_string(i));
}

class GroupTest : public BrokerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(GroupTest, TwoConsumersShareAndTakeOver) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 4, {}}}; });
  Producer producer(port_);
  const test::Settings settings = {{"partition.assignment.strategy", GetParam()}};
  std::set<std::string> seen;
  int repeated = 0;
  const auto drain = [&](Consumer& consumer) {
    auto message = consumer.Poll(20);
    if (message && !seen.insert(message->value).second) ++repeated;
  };
  Consumer first(port_, "g", settings);
  first.Subscribe("t");
  ASSERT_TRUE(Eventually([&] {
    drain(first);
    return first.assigned() == 4;
  }));
  {
    Consumer second(port_, "g", settings);
    second.Subscribe("t");
    ASSERT_TRUE(Eventually([&] {
      drain(first);
      drain(second);
      return first.assigned() == 2 && second.assigned() == 2;
    }));
    for (int i = 0; i < 400; ++i) producer.Send("t", i % 4, "", std::to_string(i));
    ASSERT_TRUE(producer.Flush());
    ASSERT_TRUE(Eventually([&] {
      drain(first);
      drain(second);
      return seen.size() == 400;
    }));
    EXPECT_EQ(second.Commit(), "");
  }
  EXPECT_EQ(first.Commit(), "");
  ASSERT_TRUE(Eventually([&] {
    drain(first);
    return first.assigned() == 4;
  }));
  for (int i = 400; i < 800; ++i) producer.Send("t", i % 4, "", std::to_string(i));
  ASSERT_TRUE(producer.Flush());
  ASSERT_TRUE(Eventually([&] {
    drain(first);
    return seen.size() == 800;
  }));
  // librdkafka 2.0.2 rewinds the partitions that it keeps in a cooperative rebalance: it asks for
  // their first offset again, without a look at the committed one.
  if (GetParam() != std::string("cooperative-sticky")) EXPECT_EQ(repeated, 0);
}

INSTANTIATE_TEST_SUITE_P(Assignors, GroupTest,
                         ::testing::Values("range", "roundrobin", "cooperative-sticky"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_F(BrokerTest, CommittedOffsetsOutliveConsumersAndRestarts) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  for (int i = 0; i < 100; ++i) producer.Send("t", 0, "", std::to_string(i));
  ASSERT_TRUE(producer.Flush());
  for (int begin = 0; begin < 100; begin += 25) {
    {
      Consumer consumer(port_, "g", {{"enable.auto.offset.store", "true"}});
      consumer.Subscribe("t");
      for (int i = begin; i < begin + 25; ++i) {
        std::optional<Consumed> message;
        ASSERT_TRUE(Eventually([&] { return (message = consumer.Poll(100)).has_value(); }));
        ASSERT_EQ(message->value, std::to_string(i));
      }
      ASSERT_EQ(consumer.Commit(), "");
    }
    Start();
  }
}

TEST_F(BrokerTest, GroupLivesThroughABrokerRestart) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  Consumer consumer(port_, "g");
  consumer.Subscribe("t");
  for (int i = 0; i < 30; ++i) {
    if (i % 10 == 5) Start();
    producer.Send("t", 0, "", std::to_string(i));
    // What was not committed before a restart comes again.
    ASSERT_TRUE(Eventually([&] {
      producer.Poll(0);
      const auto message = consumer.Poll(100);
      return message && message->value == std::to_string(i);
    }));
    consumer.Commit();
  }
}

TEST_F(BrokerTest, ListOffsetsByTime) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  for (int i = 0; i < 1000; ++i) producer.Send("t", 0, "", "x", 1'000'000 + i * 10);
  ASSERT_TRUE(producer.Flush());
  const auto offset_at = [&](int64_t time_ms) {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "t", 0)->offset = time_ms;
    EXPECT_EQ(rd_kafka_offsets_for_times(producer.raw(), list, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    const int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return offset;
  };
  EXPECT_EQ(offset_at(0), 0);
  EXPECT_EQ(offset_at(1'000'000), 0);
  EXPECT_EQ(offset_at(1'005'001), 501);
  EXPECT_EQ(offset_at(1'009'990), 999);
  EXPECT_EQ(offset_at(1'009'991), RD_KAFKA_OFFSET_END);
}

TEST_F(BrokerTest, TopicsAreCreatedAndDeletedDurably) {
  Start();
  EXPECT_EQ(test::CreateTopic(port_, "made", 3, {{"retention.ms", "1000"}}), "");
  EXPECT_THAT(test::CreateTopic(port_, "made", 3), HasSubstr("exists"));
  EXPECT_THAT(test::CreateTopic(port_, "bad name", 1), HasSubstr("topic name"));
  EXPECT_THAT(test::CreateTopic(port_, "other", 1, {{"retention.ms", "soon"}}),
              HasSubstr("retention.ms must be a number"));
  EXPECT_THAT(test::CreateTopic(port_, "other", 1, {{"color", "red"}}),
              HasSubstr("unknown topic setting 'color'"));
  {
    Producer producer(port_);
    producer.Send("made", 0, "", "old");
    ASSERT_TRUE(producer.Flush());
  }
  Start();
  EXPECT_EQ(test::ReadAll(port_, "made", 0).size(), 1u);
  EXPECT_EQ(test::DeleteTopic(port_, "made"), "");
  EXPECT_THAT(test::DeleteTopic(port_, "made"), HasSubstr("Unknown topic"));
  EXPECT_EQ(test::CreateTopic(port_, "made", 1), "");
  EXPECT_EQ(test::ReadAll(port_, "made", 0).size(), 0u);
  EXPECT_EQ(test::DeleteTopic(port_, "made"), "");
  Start();
  EXPECT_THAT(metrics_->Text(), HasSubstr("stream_topics 0"));
}

TEST_F(BrokerTest, AutoCreatesTopicsOnlyWhenAllowed) {
  Start([](BrokerOptions* options) { options->core.auto_create_topics = true; });
  Producer producer(port_);
  producer.Send("fresh", 0, "", "first");
  ASSERT_TRUE(producer.Flush());
  EXPECT_EQ(test::ReadAll(port_, "fresh", 0).size(), 1u);
  Start();
  Producer second(port_, {{"message.timeout.ms", "3000"}});
  EXPECT_THAT(metrics_->Text(), HasSubstr("stream_topics 1"));
  EXPECT_ANY_THROW(test::ReadAll(port_, "absent", 0));
  EXPECT_THAT(metrics_->Text(), HasSubstr("stream_topics 1"));
}

TEST_F(BrokerTest, TransactionsAreRefused) {
  Start();
  Producer producer(port_, {{"transactional.id", "x"}});
  rd_kafka_error_t* error = rd_kafka_init_transactions(producer.raw(), 10000);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(rd_kafka_error_code(error), RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
      << rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
}

TEST_F(BrokerTest, LongPollAnswersWhenDataComes) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  Consumer consumer(port_, "g", {{"fetch.wait.max.ms", "20000"}});
  consumer.Assign("t", {{0, 0}});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    producer.Send("t", 0, "", std::to_string(i));
    std::optional<Consumed> message;
    ASSERT_TRUE(Eventually([&] {
      producer.Poll(0);
      return (message = consumer.Poll(100)).has_value();
    }));
    ASSERT_EQ(message->value, std::to_string(i));
  }
  // Were the data left to the end of the wait, this would take 400 s.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST_F(BrokerTest, OldDataGoesAndCompactedTopicsKeepTheLastOfEachKey) {
  Start([](BrokerOptions* options) {
    options->topics = {
        {"short", 1, {{"segment.bytes", "65536"}, {"retention.bytes", "200000"}}},
        {"compacted", 1, {{"segment.bytes", "65536"}, {"cleanup.policy", "compact"}}}};
  });
  Producer producer(port_, {{"batch.size", "4096"}});
  const std::string filler(500, 'x');
  for (int i = 0; i < 2000; ++i) {
    producer.Send("short", 0, "", filler);
    producer.Send("compacted", 0, "key" + std::to_string(i % 10), filler + std::to_string(i));
  }
  ASSERT_TRUE(producer.Flush());
  broker_->CleanLogs();
  const auto kept = test::ReadAll(port_, "short", 0);
  EXPECT_GT(kept.front().offset, 0);
  EXPECT_EQ(kept.back().offset, 1999);
  EXPECT_LT(kept.size(), 600u);
  for (const bool restarted : {false, true}) {
    SCOPED_TRACE(restarted ? "after a restart" : "before");
    if (restarted) Start();
    const auto compacted = test::ReadAll(port_, "compacted", 0);
    EXPECT_LT(compacted.size(), 300u);
    std::map<std::string, std::string> last;
    for (const Consumed& message : compacted) last[message.key] = message.value;
    ASSERT_EQ(last.size(), 10u);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(last["key" + std::to_string(i)], filler + std::to_string(1990 + i));
    }
  }
}

TEST_F(BrokerTest, FullDiskRefusesProducersServesConsumersAndRecovers) {
  fs::FaultFileSystem disk(1);
  Start([&](BrokerOptions* options) {
    options->fs = &disk;
    options->core.data_dir = "/data";
    options->topics = {{"t", 1, {}}};
  });
  Producer producer(port_);
  for (int i = 0; i < 100; ++i) producer.Send("t", 0, "", std::to_string(i));
  ASSERT_TRUE(producer.Flush());
  disk.SetCapacity(1);
  for (int i = 100; i < 200; ++i) producer.Send("t", 0, "", std::to_string(i));
  ASSERT_TRUE(Eventually([&] {
    producer.Poll(10);
    return metrics_->Text().find("stream_storage_errors_total 0") == std::string::npos;
  }));
  EXPECT_EQ(producer.delivered().size(), 100u);
  EXPECT_EQ(test::ReadAll(port_, "t", 0).size(), 100u);
  disk.SetCapacity(UINT64_MAX);
  ASSERT_TRUE(producer.Flush());
  EXPECT_TRUE(producer.failed().empty()) << producer.failed().front();
  const auto all = test::ReadAll(port_, "t", 0);
  ASSERT_EQ(all.size(), 200u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].value, std::to_string(i));
  broker_.reset();
}

TEST_F(BrokerTest, TlsAsksForCertificatesAndRefusesDevices) {
  tls::TestCa ca;
  tls::TestCa stranger;
  Start([&](BrokerOptions* options) {
    options->tls = ca.Issue("stream");
    options->topics = {{"t", 1, {}}};
  });
  const auto settings = [&](const tls::Files& files) {
    return test::Settings{{"security.protocol", "ssl"},
                          {"ssl.ca.location", ca.ca_path()},
                          {"ssl.certificate.location", files.cert},
                          {"ssl.key.location", files.key},
                          {"message.timeout.ms", "2000"}};
  };
  const auto delivers = [&](const test::Settings& with) {
    Producer producer(port_, with);
    producer.Send("t", 0, "", "x");
    producer.Flush(5000);
    return producer.delivered().size() == 1;
  };
  EXPECT_TRUE(delivers(settings(ca.Issue("bridge"))));
  EXPECT_FALSE(delivers(settings(ca.Issue("gw-01", "device"))));
  EXPECT_FALSE(delivers(settings(stranger.Issue("bridge"))));
  EXPECT_FALSE(delivers({{"message.timeout.ms", "2000"}})) << "plain TCP";
}

TEST_F(BrokerTest, MalformedRequestClosesOnlyItsConnection) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  Producer producer(port_);
  producer.Send("t", 0, "", "before");
  ASSERT_TRUE(producer.Flush());
  int status = 0;
  const std::string place = "/dev/tcp/127.0.0.1/" + std::to_string(port_);
  // A length beyond the limit; a request of an unknown API: the broker closes, cat sees the end.
  for (const char* bytes : {"\\x7f\\xff\\xff\\xff", "\\x00\\x00\\x00\\x08zzzzzzzz"}) {
    const std::string output = RunCommand("timeout 10 bash -c 'exec 3<>" + place + "; printf \"" +
                                              std::string(bytes) + "\" >&3; cat <&3'",
                                          &status);
    EXPECT_EQ(status, 0) << output;
  }
  producer.Send("t", 0, "", "after");
  ASSERT_TRUE(producer.Flush());
  EXPECT_EQ(test::ReadAll(port_, "t", 0).size(), 2u);
}

TEST_F(BrokerTest, KcatProducesAndConsumes) {
  Start([](BrokerOptions* options) { options->topics = {{"t", 1, {}}}; });
  const std::string broker = "127.0.0.1:" + std::to_string(port_);
  int status = 0;
  std::string output = RunCommand(
      "printf 'k1:hello\\nk2:world\\n' | kcat -P -b " + broker + " -t t -p 0 -K : -z zstd",
      &status);
  ASSERT_EQ(status, 0) << output;
  output = RunCommand("kcat -C -b " + broker + " -t t -p 0 -o beginning -e -q -K :", &status);
  ASSERT_EQ(status, 0) << output;
  EXPECT_EQ(output, "k1:hello\nk2:world\n");
  output = RunCommand("kcat -G g1 -b " + broker + " -o beginning -e -q t", &status);
  ASSERT_EQ(status, 0) << output;
  EXPECT_EQ(output, "hello\nworld\n");
  output = RunCommand("kcat -L -b " + broker, &status);
  ASSERT_EQ(status, 0) << output;
  EXPECT_THAT(output, HasSubstr("topic \"t\" with 1 partitions"));
}

}  // namespace
}  // namespace edgeloop::stream
