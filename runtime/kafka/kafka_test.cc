// Against librdkafka's mock cluster, which speaks the real protocol on a real port.
#include "runtime/kafka/kafka.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "runtime/tls/test_ca.h"

namespace edgeloop::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class KafkaTest : public testing::Test {
 protected:
  void SetUp() override {
    char reason[256];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    ASSERT_NE(owner_, nullptr) << reason;
    cluster_ = rd_kafka_mock_cluster_new(owner_, 1);
    rd_kafka_mock_topic_create(cluster_, "edgeloop.test", 2, 1);
    connection_.bootstrap = rd_kafka_mock_cluster_bootstraps(cluster_);
    connection_.client_id = "unit";
  }
  void TearDown() override {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  std::unique_ptr<Producer> NewProducer() {
    auto producer = Producer::Create({.connection = connection_});
    EXPECT_TRUE(producer) << producer.error().message();
    return std::move(*producer);
  }
  std::unique_ptr<Consumer> NewConsumer(const std::string& group) {
    auto consumer =
        Consumer::Create({.connection = connection_, .group = group, .fetch_wait_ms = 20});
    EXPECT_TRUE(consumer) << consumer.error().message();
    return std::move(*consumer);
  }
  // Up to `count` records, fewer when no more come for 10 s.
  static std::vector<Record> Take(Consumer& consumer, size_t count) {
    std::vector<Record> records;
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (records.size() < count && std::chrono::steady_clock::now() < deadline) {
      auto polled = consumer.Poll(milliseconds(200));
      EXPECT_TRUE(polled) << polled.error().message();
      if (polled && *polled) records.push_back(std::move(**polled));
    }
    return records;
  }

  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  ConnectionOptions connection_;
};

TEST_F(KafkaTest, RecordsArriveAsProduced) {
  auto producer = NewProducer();
  const auto position = producer->ProduceSync({.topic = "edgeloop.test",
                                               .key = "gw-01/motor-01",
                                               .value = std::string_view("a\0b", 3),
                                               .headers = {{"ce_id", "1"}, {"empty", ""}}},
                                              seconds(10));
  ASSERT_TRUE(position) << position.error().message();
  EXPECT_EQ(position->offset, 0);
  ASSERT_TRUE(
      producer->ProduceSync({.topic = "edgeloop.test", .key = "gw-01/motor-01"}, seconds(10)));

  auto consumer = NewConsumer("");
  ASSERT_TRUE(consumer->AssignAll({"edgeloop.test"}, Consumer::kBeginning));
  const auto records = Take(*consumer, 2);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].topic, "edgeloop.test");
  EXPECT_EQ(records[0].partition, position->partition);
  EXPECT_EQ(records[0].offset, 0);
  EXPECT_EQ(records[0].key, "gw-01/motor-01");
  EXPECT_EQ(records[0].value, std::string("a\0b", 3));
  EXPECT_FALSE(records[0].tombstone);
  EXPECT_EQ(records[0].headers, (events::Headers{{"ce_id", "1"}, {"empty", ""}}));
  EXPECT_GT(records[0].timestamp_ms, 0);
  EXPECT_TRUE(records[1].tombstone);
  EXPECT_EQ(records[1].partition, records[0].partition);  // same key

  const auto marks = consumer->QueryWatermarks("edgeloop.test", position->partition, seconds(10));
  ASSERT_TRUE(marks) << marks.error().message();
  EXPECT_EQ(marks->low, 0);
  EXPECT_EQ(marks->high, 2);
}

TEST_F(KafkaTest, DeliveriesAreReportedInOrder) {
  auto producer = NewProducer();
  constexpr int kCount = 1000;
  std::vector<int64_t> offsets;  // of one partition: written by the polling thread alone
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(producer->Produce(
        {.topic = "edgeloop.test", .key = "k", .value = "v"},
        [&](Expected<Position> position) { offsets.push_back(position ? position->offset : -1); }));
  }
  ASSERT_TRUE(producer->Flush(seconds(10)));
  producer.reset();
  ASSERT_EQ(offsets.size(), static_cast<size_t>(kCount));
  for (int i = 0; i < kCount; ++i) EXPECT_EQ(offsets[static_cast<size_t>(i)], i);
}

TEST_F(KafkaTest, GroupGoesOnAfterItsCommit) {
  auto producer = NewProducer();
  for (const char* value : {"one", "two", "three"}) {
    ASSERT_TRUE(
        producer->ProduceSync({.topic = "edgeloop.test", .key = "k", .value = value}, seconds(10)));
  }
  {
    auto consumer = NewConsumer("readers");
    ASSERT_TRUE(consumer->Subscribe({"edgeloop.test"}));
    const auto records = Take(*consumer, 2);
    ASSERT_EQ(records.size(), 2u);
    const Status committed = consumer->Commit(records[1]);
    ASSERT_TRUE(committed) << committed.error().message();
  }
  auto consumer = NewConsumer("readers");
  ASSERT_TRUE(consumer->Subscribe({"edgeloop.test"}));
  const auto records = Take(*consumer, 1);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, "three");
}

TEST_F(KafkaTest, AssignStartsAtAnOffset) {
  auto producer = NewProducer();
  int32_t partition = 0;
  for (const char* value : {"one", "two", "three"}) {
    const auto position =
        producer->ProduceSync({.topic = "edgeloop.test", .key = "k", .value = value}, seconds(10));
    ASSERT_TRUE(position);
    partition = position->partition;
  }
  auto consumer = NewConsumer("");
  ASSERT_TRUE(consumer->Assign({{"edgeloop.test", partition, 2}}));
  const auto records = Take(*consumer, 1);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, "three");

  EXPECT_FALSE(consumer->Subscribe({"edgeloop.test"}));
  EXPECT_FALSE(consumer->Commit(records[0]));
  const Status absent = consumer->AssignAll({"no.such.topic"}, Consumer::kEnd);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), ErrorCode::kNotFound);
}

TEST_F(KafkaTest, ListsTopics) {
  auto admin = Admin::Create(connection_);
  ASSERT_TRUE(admin) << admin.error().message();
  const auto topics = (*admin)->ListTopics(seconds(10));
  ASSERT_TRUE(topics) << topics.error().message();
  ASSERT_EQ(topics->size(), 1u);
  EXPECT_EQ(topics->front().name, "edgeloop.test");
  EXPECT_EQ(topics->front().partitions, 2);
}

TEST_F(KafkaTest, FullQueueIsAnErrorAndEveryCallbackIsCalled) {
  // Nobody listens on port 1.
  auto producer =
      Producer::Create({.connection = {.bootstrap = "127.0.0.1:1"}, .queue_messages = 10});
  ASSERT_TRUE(producer) << producer.error().message();
  std::atomic<int> failed = 0;
  int accepted = 0;
  Status status;
  while (accepted < 1000) {
    status = (*producer)->Produce({.topic = "edgeloop.test", .value = "v"},
                                  [&](Expected<Position> position) { failed += !position; });
    if (!status) break;
    ++accepted;
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_GT(accepted, 0);
  EXPECT_FALSE((*producer)->Flush(milliseconds(1)));
  producer->reset();
  EXPECT_EQ(failed, accepted);
}

// The mock cluster has no TLS: a bare acceptor sees whether the client shows its certificate and
// trusts only the server it should.
class Acceptor {
 public:
  explicit Acceptor(const tls::Files& files) {
    auto context = tls::CreateServerContext(files);
    EXPECT_TRUE(context) << context.error().message();
    context_ = std::move(*context);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(socket_, 4), 0);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Acceptor() { ::close(socket_); }
  int port() const { return port_; }

  // The peer of the next connection when both sides agreed and the client sent a first request.
  Expected<tls::Peer> Next() {
    const int connection = ::accept(socket_, nullptr, nullptr);
    SSL* ssl = SSL_new(context_.get());
    SSL_set_fd(ssl, connection);
    char byte = 0;
    Expected<tls::Peer> peer = Fail(ErrorCode::kUnauthenticated, "no handshake");
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1) {
      peer = tls::PeerOf(SSL_get0_peer_certificate(ssl));
    }
    SSL_free(ssl);
    ::close(connection);
    return peer;
  }

 private:
  tls::SslCtxPtr context_;
  int socket_ = -1;
  int port_ = 0;
};

TEST(KafkaTls, IsMutual) {
  tls::TestCa ca;
  tls::TestCa other;
  for (const bool genuine : {true, false}) {
    tls::Files server_files = genuine ? ca.Issue("stream") : other.Issue("stream");
    server_files.ca = ca.ca_path();
    Acceptor acceptor(server_files);
    auto producer = Producer::Create(
        {.connection = {.bootstrap = "127.0.0.1:" + std::to_string(acceptor.port()),
                        .tls = ca.Issue("bridge")}});
    ASSERT_TRUE(producer) << producer.error().message();
    const auto peer = acceptor.Next();
    ASSERT_EQ(peer.has_value(), genuine);
    if (genuine) EXPECT_EQ(peer->common_name, "bridge");
  }
}

TEST(KafkaTls, BadFilesAreErrors) {
  EXPECT_FALSE(Producer::Create(
      {.connection = {.bootstrap = "127.0.0.1:1", .tls = {"/no/ca", "/no/cert", "/no/key"}}}));
}

}  // namespace
}  // namespace edgeloop::kafka
