// The real process, killed (SIGKILL) again and again while producers write: every acknowledged
// record is there exactly once and in order.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "platform/services/stream/test_clients/kafka_client.h"
#include "runtime/fs/file_system.h"
#include "runtime/process/child.h"

namespace edgeloop::stream {
namespace {

using test::Consumed;
using test::Producer;

class KillTest : public ::testing::Test {
 protected:
  KillTest() {
    dir_ = ::testing::TempDir() + "edgeloop-stream-kill-XXXXXX";
    EXPECT_NE(::mkdtemp(dir_.data()), nullptr);
    auto port = process::FreePort();
    EXPECT_TRUE(port);
    port_ = static_cast<uint16_t>(*port);
    std::ofstream(dir_ + "/stream.yaml") << "plaintext: true\n"
                                         << "listen: {port: " << port_ << "}\n"
                                         << "data_dir: " << dir_ << "/data\n"
                                         << "port_file: " << dir_ << "/ports\n"
                                         << "topics:\n"
                                         << "  - {name: t, partitions: 3, config: "
                                         << "{segment.bytes: 262144}}\n";
  }
  ~KillTest() override {
    child_.reset();
    EXPECT_TRUE(fs::RemoveTree(fs::PosixFileSystem(), dir_));
  }

  void Start() {
    auto child = process::Child::Start(
        {.command = {EDGELOOP_BIN_DIR "/edgeloop-stream", "--config", dir_ + "/stream.yaml"},
         .output_path = dir_ + "/log"});
    ASSERT_TRUE(child) << child.error().ToString();
    child_.emplace(std::move(*child));
  }
  void Kill() {
    child_->Signal(SIGKILL);
    ASSERT_TRUE(child_->WaitFor(std::chrono::seconds(10)));
    child_.reset();
  }

  std::string dir_;
  uint16_t port_ = 0;
  std::optional<process::Child> child_;
};

TEST_F(KillTest, AcknowledgedRecordsSurviveEveryKill) {
  constexpr int kKills = 8;
  constexpr int kPartitions = 3;
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Start();

  std::atomic<bool> stop = false;
  std::atomic<size_t> acknowledged = 0;
  std::vector<std::unique_ptr<Producer>> producers;
  std::vector<std::thread> threads;
  for (int i = 0; i < kPartitions; ++i) {
    producers.push_back(
        std::make_unique<Producer>(port_, test::Settings{{"message.timeout.ms", "60000"},
                                                         {"queue.buffering.max.messages", "2000"},
                                                         {"batch.num.messages", "50"}}));
    threads.emplace_back([&, i] {
      Producer& producer = *producers[static_cast<size_t>(i)];
      size_t counted = 0;
      for (int n = 0; !stop; ++n) {
        producer.Send("t", i, "",
                      std::to_string(n) + " " + std::string(static_cast<size_t>(n % 300), 'x'));
        acknowledged += producer.delivered().size() - counted;
        counted = producer.delivered().size();
      }
      EXPECT_TRUE(producer.Flush(60000));
    });
  }
  const auto wait_for = [&](size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (acknowledged < count && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    return acknowledged >= count;
  };
  for (int kill = 0; kill < kKills; ++kill) {
    // Each time under load, at another moment of it.
    EXPECT_TRUE(wait_for(acknowledged + 2000 + random() % 5000)) << "no progress";
    Kill();
    Start();
  }
  EXPECT_TRUE(wait_for(acknowledged + 1000));
  stop = true;
  for (std::thread& thread : threads) thread.join();

  Kill();
  Start();
  for (int i = 0; i < kPartitions; ++i) {
    SCOPED_TRACE(testing::Message() << "partition " << i);
    const Producer& producer = *producers[static_cast<size_t>(i)];
    EXPECT_TRUE(producer.failed().empty()) << producer.failed().front();
    const std::vector<Consumed> all = test::ReadAll(port_, "t", i);
    ASSERT_EQ(all.size(), producer.delivered().size());
    for (size_t n = 0; n < all.size(); ++n) {
      ASSERT_EQ(all[n].offset, static_cast<int64_t>(n));
      ASSERT_EQ(std::stoull(all[n].value), n) << "lost, doubled or out of order";
      ASSERT_EQ(producer.delivered()[n].value, all[n].value);
      ASSERT_EQ(producer.delivered()[n].offset, all[n].offset);
    }
  }
}

}  // namespace
}  // namespace edgeloop::stream
