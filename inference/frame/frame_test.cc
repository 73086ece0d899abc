#include "inference/frame/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace edgeloop::frame {
namespace {

using ::testing::HasSubstr;
constexpr Timeout kSoon{5'000};

TEST(Decoder, FindsFramesByteByByte) {
  Decoder decoder;
  const std::string stream = Encode("abc") + Encode("") + Encode(std::string(70'000, 'x'));
  std::vector<std::string> found;
  for (char c : stream) {
    ASSERT_TRUE(decoder.Append({&c, 1}));
    while (auto payload = decoder.Next()) found.push_back(*payload);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"abc", "", std::string(70'000, 'x')}));
}

TEST(Decoder, RefusesAnOversizedLengthAtOnce) {
  Decoder decoder;
  const Status status = decoder.Append(std::string("\x01\x00\x10\x00", 4));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::kCorrupt);
  EXPECT_FALSE(decoder.Next());
}

class SocketTest : public testing::Test {
 protected:
  SocketTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "frame-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  ~SocketTest() override { std::filesystem::remove_all(dir_); }
  std::string path() const { return dir_ + "/module.sock"; }
  std::string dir_;
  Interrupt interrupt_;
};

TEST_F(SocketTest, CarriesLargeFramesBothWays) {
  auto listener = Listener::Create(path());
  ASSERT_TRUE(listener) << listener.error().ToString();
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const std::string large(kMaxFrameBytes, 'q');
  std::thread client([&] {
    auto connection = Connect(path());
    ASSERT_TRUE(connection);
    auto request = connection->Read(interrupt_, kSoon);
    ASSERT_TRUE(request) << request.error().ToString();
    ASSERT_TRUE(connection->Write(*request + "!", interrupt_, kSoon).error().message().size() > 0);
    ASSERT_TRUE(connection->Write("ok", interrupt_, kSoon));
  });
  auto connection = listener->Accept(interrupt_, kSoon);
  ASSERT_TRUE(connection);
  EXPECT_TRUE(connection->Write(large, interrupt_, kSoon));
  EXPECT_EQ(connection->Read(interrupt_, kSoon).value(), "ok");
  client.join();
}

TEST_F(SocketTest, TimesOutIsInterruptedAndSeesTheEnd) {
  auto listener = Listener::Create(path());
  ASSERT_TRUE(listener);
  EXPECT_EQ(Listener::Create(path()).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_TRUE(listener->Accept(interrupt_, kSoon));  // the look whether it is alive
  EXPECT_EQ(listener->Accept(interrupt_, Timeout(1)).error().code(), ErrorCode::kTimeout);
  {
    auto client = Connect(path());
    ASSERT_TRUE(client);
    auto connection = listener->Accept(interrupt_, kSoon);
    ASSERT_TRUE(connection);
    EXPECT_EQ(connection->Read(interrupt_, Timeout(1)).error().code(), ErrorCode::kTimeout);
    { Connection closed = std::move(*client); }
    EXPECT_EQ(connection->Read(interrupt_, kSoon).error().code(), ErrorCode::kUnavailable);
  }
  std::thread stopper([&] { interrupt_.Set(); });
  EXPECT_EQ(listener->Accept(interrupt_, Timeout(-1)).error().code(), ErrorCode::kCancelled);
  stopper.join();
}

TEST_F(SocketTest, ReplacesWhatNobodyListensOnButNoFile) {
  {
    auto abandoned = Listener::Create(path());
    ASSERT_TRUE(abandoned);
    std::filesystem::rename(path(), path() + ".old");  // as if its process had been killed
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
  std::filesystem::rename(path() + ".old", path());
  EXPECT_TRUE(Listener::Create(path()));
  std::ofstream(path()) << "a file";
  auto refused = Listener::Create(path());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("is no socket"));
}

}  // namespace
}  // namespace edgeloop::frame
