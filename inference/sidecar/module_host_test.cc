#include "inference/sidecar/module_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/module/level2.h"
#include "inference/module/serve.h"

namespace edgeloop::sidecar {
namespace {

using ::testing::HasSubstr;
constexpr frame::Timeout kSoon{10'000};

v1::ModuleRequest Request(uint64_t id) {
  v1::ModuleRequest request;
  request.set_id(id);
  request.set_device("gw-01/motor-01");
  for (int i = 0; i < 20; ++i) {
    auto* record = request.add_history();
    record->set_sensed_at_ns(1'000'000'000ull + static_cast<uint64_t>(i) * 100'000'000);
    record->set_score(0.95f);
    record->set_alarm(true);
  }
  return request;
}

class ModuleHostTest : public testing::Test {
 protected:
  ModuleHostTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sidecar-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  ~ModuleHostTest() override {
    host_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::string path() const { return dir_ + "/module.sock"; }
  void Start(std::vector<std::string> command = {},
             frame::Timeout answer_timeout = frame::Timeout(5'000)) {
    auto host = ModuleHost::Create(
        {.socket = path(), .command = std::move(command), .answer_timeout = answer_timeout});
    ASSERT_TRUE(host) << host.error().ToString();
    host_ = std::move(*host);
  }
  // A peer that sends these bytes once it is asked, and then closes when told so.
  std::string AskPeerThatSends(const std::string& bytes, bool close) {
    const int peer = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().c_str(), path().size());
    EXPECT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(host_->WaitForModule(interrupt_, kSoon));
    EXPECT_EQ(::send(peer, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    if (close) ::shutdown(peer, SHUT_WR);
    auto response = host_->Ask(Request(7), interrupt_);
    ::close(peer);
    EXPECT_FALSE(host_->connected());
    return response ? "accepted" : response.error().message();
  }

  std::string dir_;
  frame::Interrupt interrupt_;
  std::unique_ptr<ModuleHost> host_;
};

TEST_F(ModuleHostTest, TheModuleAnswersAndReturnsAfterBeingLost) {
  Start();
  frame::Interrupt stop;
  std::thread worker([&] { module::Serve(path(), module::Infer, stop, [](const Error&) {}); });
  ASSERT_TRUE(host_->WaitForModule(interrupt_, kSoon));
  for (uint64_t id = 1; id <= 3; ++id) {
    auto response = host_->Ask(Request(id), interrupt_);
    ASSERT_TRUE(response) << response.error().ToString();
    EXPECT_EQ(response->id(), id);
    EXPECT_GT(response->inference().score(), 0.8);
  }
  auto refused = host_->Ask({}, interrupt_);  // no history: an answer with an error, not a loss
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->error(), HasSubstr("no history"));
  EXPECT_TRUE(host_->connected());
  // The sidecar starts anew; the module finds it by itself.
  host_.reset();
  Start();
  ASSERT_TRUE(host_->WaitForModule(interrupt_, kSoon));
  EXPECT_TRUE(host_->Ask(Request(9), interrupt_));
  stop.Set();
  worker.join();
}

// docs/spec/module-socket.md
TEST(ModuleSocket, WorkedExampleOfTheSpecification) {
  v1::ModuleRequest request;
  request.set_id(1);
  request.set_device("a/b");
  EXPECT_EQ(frame::Encode(request.SerializeAsString()),
            std::string("\x07\0\0\0\x08\x01\x12\x03\x61\x2f\x62", 11));
  v1::ModuleResponse response;
  response.set_id(1);
  response.set_error("no");
  EXPECT_EQ(frame::Encode(response.SerializeAsString()),
            std::string("\x06\0\0\0\x08\x01\x12\x02\x6e\x6f", 10));
}

TEST_F(ModuleHostTest, HostilePeersLoseTheirConnection) {
  Start({}, frame::Timeout(200));
  EXPECT_THAT(AskPeerThatSends(std::string("\xff\xff\xff\xff", 4), false), HasSubstr("more than"));
  EXPECT_THAT(AskPeerThatSends(frame::Encode("\xff\xff garbage"), false),
              HasSubstr("no ModuleResponse"));
  EXPECT_THAT(AskPeerThatSends(std::string("\x10\x00\x00\x00"
                                           "abc",
                                           7),
                               true),
              HasSubstr("closed the connection"));
  EXPECT_THAT(AskPeerThatSends(std::string("\x10\x00\x00\x00"
                                           "abc",
                                           7),
                               false),
              HasSubstr("in time"));
  v1::ModuleResponse other;
  other.set_id(8);
  EXPECT_THAT(AskPeerThatSends(frame::Encode(other.SerializeAsString()), false),
              HasSubstr("answered request 8 instead of 7"));
  EXPECT_EQ(host_->Ask(Request(1), interrupt_).error().code(), ErrorCode::kUnavailable);
}

TEST_F(ModuleHostTest, StartsItsModuleAndStartsItAgain) {
  std::ofstream(dir_ + "/module.yaml") << "socket: " << path() << "\nlog: {level: warning}\n";
  Start({EDGELOOP_BIN_DIR "/edgeloop-module", "--config", dir_ + "/module.yaml"});
  const auto wait = [&] {
    Status status;
    for (int i = 0; i < 100; ++i) {
      status = host_->WaitForModule(interrupt_, frame::Timeout(200));
      if (status) break;
    }
    return status;
  };
  const Status first = wait();
  ASSERT_TRUE(first) << first.error().ToString();
  auto response = host_->Ask(Request(1), interrupt_);
  ASSERT_TRUE(response) << response.error().ToString();
  EXPECT_EQ(response->inference().module(), "level2-evidence/1");
  host_->StopModule();
  const Status second = wait();
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_TRUE(host_->Ask(Request(2), interrupt_));
  host_->StopModule();
}

TEST_F(ModuleHostTest, TellsWhatItCannotStart) {
  Start({"/nonexistent/module"});
  const Status status = host_->WaitForModule(interrupt_, frame::Timeout(10));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr("/nonexistent/module"));
}

}  // namespace
}  // namespace edgeloop::sidecar
