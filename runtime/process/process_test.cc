#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/process/child.h"
#include "runtime/process/daemon.h"

namespace edgeloop::process {
namespace {

using std::chrono::seconds;

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/process_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(ProcessTest, ChildRunsAndReportsItsStatus) {
  auto child = Child::Start({.command = {"sh", "-c", "echo $WORD; pwd; exit 7"},
                             .environment = {{"WORD", "hello"}},
                             .output_path = Path("out"),
                             .working_directory = directory_});
  ASSERT_TRUE(child) << child.error().message();
  const auto status = child->WaitFor(seconds(10));
  ASSERT_TRUE(status);
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  const auto output = ReadWholeFile(Path("out"), 1000);
  ASSERT_TRUE(output);
  EXPECT_EQ(*output, "hello\n" + std::filesystem::canonical(directory_).string() + "\n");
}

TEST_F(ProcessTest, ChildThatCannotStartSaysWhy) {
  const auto absent = Child::Start({.command = {"/no/such/program"}});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(Child::Start({.command = {"true"}, .working_directory = "/no/such/directory"}));
  EXPECT_FALSE(Child::Start({}));
}

TEST_F(ProcessTest, ChildStops) {
  auto gentle = Child::Start({.command = {"sleep", "1000"}});
  ASSERT_TRUE(gentle);
  EXPECT_FALSE(gentle->Poll());
  EXPECT_EQ(WTERMSIG(gentle->Stop(seconds(10))), SIGTERM);
  EXPECT_TRUE(gentle->Poll());

  // Deaf to SIGTERM from the moment its output file says so.
  auto stubborn =
      Child::Start({.command = {"sh", "-c", "trap '' TERM; mkdir deaf; while :; do sleep 1; done"},
                    .working_directory = directory_});
  ASSERT_TRUE(stubborn);
  const auto deadline = std::chrono::steady_clock::now() + seconds(10);
  while (!std::filesystem::exists(Path("deaf")) && std::chrono::steady_clock::now() < deadline) {
    ASSERT_FALSE(stubborn->WaitFor(std::chrono::milliseconds(5)));
  }
  EXPECT_EQ(WTERMSIG(stubborn->Stop(std::chrono::milliseconds(50))), SIGKILL);
}

TEST_F(ProcessTest, ChildInheritsNoDescriptorsAndNoSignalMask) {
  ASSERT_GE(dup2(STDERR_FILENO, 77), 0);  // without close-on-exec
  sigset_t term;
  sigset_t before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, &before);
  auto child = Child::Start({.command = {"sh", "-c",
                                         "test ! -e /proc/self/fd/77; echo $?; "
                                         "grep SigBlk /proc/self/status"},
                             .output_path = Path("out")});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(77);
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->WaitFor(seconds(10)));
  EXPECT_EQ(ReadWholeFile(Path("out"), 1000).value(), "0\nSigBlk:\t0000000000000000\n");
}

TEST_F(ProcessTest, DestructorKills) {
  pid_t pid = 0;
  {
    auto child = Child::Start({.command = {"sleep", "1000"}});
    ASSERT_TRUE(child);
    pid = child->pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ProcessTest, Usage) {
  const auto own = UsageOf(getpid());
  ASSERT_TRUE(own) << own.error().message();
  EXPECT_GT(own->resident_bytes, 500'000u);
  EXPECT_FALSE(UsageOf(1 << 30));
}

TEST_F(ProcessTest, FreePort) {
  const auto port = FreePort();
  ASSERT_TRUE(port);
  EXPECT_GT(*port, 1024);
}

TEST_F(ProcessTest, WritesFilesWhole) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "one"));
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "two", 0600));
  EXPECT_EQ(ReadWholeFile(Path("a"), 3).value(), "two");
  struct stat info {};
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto large = ReadWholeFile(Path("a"), 2);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(WriteFileAtomically(Path("no/such/directory"), "x"));
  EXPECT_FALSE(WriteFileAtomically(directory_, "x"));  // a directory: nothing is left behind
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
  EXPECT_EQ(ReadWholeFile(Path("b"), 2).error().code(), ErrorCode::kNotFound);
}

TEST_F(ProcessTest, AnnouncesPorts) {
  CommonOptions options;
  ASSERT_TRUE(AnnouncePorts(options, 1, 2));  // not asked for
  options.port_file = Path("ports.json");
  ASSERT_TRUE(AnnouncePorts(options, 1, 2));
  EXPECT_EQ(ReadWholeFile(options.port_file, 100).value(), "{\"listen\":1,\"health\":2}\n");
}

TEST_F(ProcessTest, ReadsCommonOptions) {
  CommonOptions options;
  const auto status = config::ReadText(
      "tls: {ca: a, cert: b, key: c}\nhealth: {port: 8}\nlog: {level: debug, format: json}\n"
      "port_file: p",
      "x", [&](config::Reader& reader) { ReadCommon(reader, &options); });
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(options.tls.key, "c");
  EXPECT_EQ(options.health_port, 8);
  EXPECT_EQ(options.log_format, "json");
  EXPECT_EQ(options.port_file, "p");
}

TEST(ProcessDeathTest, CommandLine) {
  const auto parse = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return ParseCommandLine(static_cast<int>(argv.size()), argv.data(), "edgeloop-x", "Does x.");
  };
  const Invocation invocation = parse({"edgeloop-x", "--config", "f.yaml", "--check"});
  EXPECT_EQ(invocation.config_path, "f.yaml");
  EXPECT_TRUE(invocation.check_only);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(parse({"edgeloop-x", "--help"}), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(parse({"edgeloop-x", "--version"}), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(parse({"edgeloop-x"}), testing::ExitedWithCode(2), "--config is required");
  EXPECT_EXIT(parse({"edgeloop-x", "--bad"}), testing::ExitedWithCode(2), "");
}

TEST(ProcessDeathTest, StopSignals) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        BlockStopSignals();
        RequestStop();  // before the wait: is not lost
        WaitForStop();
        kill(getpid(), SIGINT);
        WaitForStop();
        std::exit(3);
      },
      testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace edgeloop::process
