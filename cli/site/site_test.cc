#include "cli/site/site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/site/layout.h"
#include "cli/site/options.h"
#include "cli/site/ports.h"
#include "cli/site/service_configs.h"
#include "cli/site/status_file.h"

namespace edgeloop::site {
namespace {

using testing::HasSubstr;

class SiteTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "site.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name) << text;
    return dir_ + "/" + name;
  }
  std::string dir_;
};

TEST_F(SiteTest, TheSampleConfigurationIsTheDefaults) {
  const auto options = LoadOptions(Write("edgeloop.yaml", SampleConfig()));
  ASSERT_TRUE(options) << options.error().ToString();
  const Options defaults = DefaultOptions();
  EXPECT_EQ(options->window, defaults.window);
  EXPECT_EQ(options->hop, defaults.hop);
  EXPECT_EQ(options->model_name, defaults.model_name);
  EXPECT_EQ(options->store_mib, defaults.store_mib);
  ASSERT_EQ(options->gateways.size(), 2u);
  EXPECT_EQ(options->gateways[1].id, "gw-02");
  EXPECT_EQ(options->gateways[1].devices[1].id, "motor-02");
  EXPECT_EQ(options->gateways[0].devices[0].source, defaults.gateways[0].devices[0].source);
}

TEST_F(SiteTest, OptionsSurviveBeingWritten) {
  Options options = DefaultOptions();
  options.pace = 2.5;
  options.hop = 256;
  options.gateways = Fleet(3, {{"type", "replay"}, {"dir", "/a \"b\": c"}, {"channels", "3"}});
  const auto again = LoadOptions(Write("edgeloop.yaml", ConfigText(options)));
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->pace, 2.5);
  EXPECT_EQ(again->hop, 256);
  ASSERT_EQ(again->gateways.size(), 2u);
  EXPECT_EQ(again->gateways[1].devices[0].source, options.gateways[1].devices[0].source);
  EXPECT_EQ(ConfigText(*again), ConfigText(options));
}

TEST_F(SiteTest, AnUnknownKeyIsRefusedWithTheNearestOne) {
  const auto options = LoadOptions(Write("edgeloop.yaml", "devices: 2\nplant_contrl: true\n"));
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().message(), HasSubstr("edgeloop.yaml:2"));
  EXPECT_THAT(options.error().message(), HasSubstr("plant_control"));
}

TEST_F(SiteTest, WrongValuesAreRefused) {
  for (const char* text :
       {"devices: 0\n", "devices: many\n", "pace: -1\n", "model: {window: 1000}\n",
        "model: {hop: 4096}\n", "gateways:\n  - {id: GW, devices: [{id: a}]}\n",
        "gateways:\n  - {id: gw, devices: [{id: a}, {id: a}]}\n",
        "devices: 2\ngateways:\n  - {id: gw, devices: [{id: a}]}\n", "log: {level: loud}\n",
        "- a list\n"}) {
    EXPECT_FALSE(LoadOptions(Write("edgeloop.yaml", text))) << text;
  }
}

TEST_F(SiteTest, GatewaysAreListedOneByOne) {
  const auto options = LoadOptions(Write("edgeloop.yaml", R"(
source: {type: replay, dir: /data}
gateways:
  - id: hall-1
    devices:
      - {id: pump}
      - {id: fan, source: {type: motor, seed: 7}}
)"));
  ASSERT_TRUE(options) << options.error().ToString();
  ASSERT_EQ(options->gateways.size(), 1u);
  EXPECT_EQ(options->gateways[0].devices[0].source[0].second, "replay");
  EXPECT_EQ(options->gateways[0].devices[1].source[1].second, "7");
}

TEST_F(SiteTest, TheStateDirectoryIsPrivate) {
  Layout layout(dir_ + "/a/b");
  ASSERT_TRUE(layout.Create());
  struct stat info;
  ASSERT_EQ(stat(layout.root().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(stat((layout.root() + "/certs").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(SiteTest, OneSupervisorAStateDirectory) {
  Layout layout(dir_ + "/state");
  ASSERT_TRUE(layout.Create());
  EXPECT_FALSE(LockHolder(layout));
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = StateLock::Take(layout);
    char byte = lock ? 'y' : 'n';
    (void)!write(ready[1], &byte, 1);
    (void)!read(go[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto holder = LockHolder(layout);
  ASSERT_TRUE(holder);
  EXPECT_EQ(*holder, child);
  const auto second = StateLock::Take(layout);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("edgeloop down"));
  ASSERT_EQ(kill(child, SIGKILL), 0);  // as a crash would: nothing is cleaned up
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(StateLock::Take(layout));
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST_F(SiteTest, PortsAreRemembered) {
  Ports ports;
  const auto first = ports.Choose("stream.listen");
  const auto second = ports.Choose("stream.health");
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  ASSERT_TRUE(ports.Save(dir_ + "/ports.json"));
  auto again = Ports::Load(dir_ + "/ports.json");
  ASSERT_TRUE(again);
  again->ForgetTaken();
  EXPECT_EQ(*again->Choose("stream.listen"), *first);
  EXPECT_EQ(again->Get("unknown"), 0);
}

TEST_F(SiteTest, DamagedPortsAreRefused) {
  for (const char* text :
       {"", "[]", "{\"a\": 0}", "{\"a\": 70000}", "{\"a\": \"x\"}", "{\"a\": 1.5}"}) {
    EXPECT_FALSE(Ports::Load(Write("ports.json", text))) << text;
  }
  EXPECT_TRUE(Ports::Load(dir_ + "/absent.json"));
}

TEST_F(SiteTest, NothingRunsYet) {
  const auto access = OpenAccess(dir_);
  ASSERT_FALSE(access);
  EXPECT_EQ(access.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(access.error().message(), HasSubstr("edgeloop up"));
}

TEST_F(SiteTest, AMissingDaemonIsNamed) {
  Options options = DefaultOptions();
  options.binaries = dir_ + "/nowhere";
  const auto site = Site::Start(options, dir_ + "/state", [](const std::string&) {});
  ASSERT_FALSE(site);
  EXPECT_THAT(site.error().message(), HasSubstr("edgeloop-identity"));
}

TEST(ServiceConfigsTest, ScalarsAreQuoted) {
  EXPECT_EQ(Quoted("a b"), "\"a b\"");
  EXPECT_EQ(Quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(Quoted(std::string("a\nb")), "\"a\\x0ab\"");
}

}  // namespace
}  // namespace edgeloop::site
