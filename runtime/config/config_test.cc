#include "runtime/config/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace edgeloop::config {
namespace {

struct Options {
  std::string host = "127.0.0.1";
  int port = 0;
  double pace = 1;
  bool fast = false;
  std::string level = "info";
  std::vector<std::string> keys;
  std::vector<std::pair<std::string, std::string>> extra;
  std::vector<std::string> devices;
  std::string ca;
};

void Read(Reader& reader, Options& options) {
  reader.Optional("host", &options.host);
  reader.Required("port", &options.port, {.min = 1, .max = 65535});
  reader.Optional("pace", &options.pace, {.min = 0, .max = 100});
  reader.Optional("fast", &options.fast);
  reader.Choice("level", &options.level, {"debug", "info", "warning"});
  reader.Optional("keys", &options.keys);
  reader.StringMap("extra", &options.extra);
  reader.Section("tls", [&](Reader& tls) { tls.Required("ca", &options.ca); });
  reader.List("devices", [&](Reader& device) {
    std::string id;
    device.Required("id", &id);
    if (id == "bad") device.Fail("id", "is a bad name");
    options.devices.push_back(id);
  });
}

std::string ErrorOf(std::string_view text) {
  Options options;
  const Status status =
      ReadText(text, "gateway.yaml", [&](Reader& reader) { Read(reader, options); });
  if (status) return "";
  EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
  return status.error().message();
}

TEST(Config, ReadsEveryKind) {
  Options options;
  const Status status = ReadText(R"(
host: example   # a comment
port: 8883
pace: 0.5
fast: true
level: warning
keys: [a, "b"]
extra: {retention.ms: 1000}
tls:
  ca: /etc/ca.pem
devices:
  - id: motor-01
  - id: motor-02
)",
                                 "x.yaml", [&](Reader& reader) { Read(reader, options); });
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(options.host, "example");
  EXPECT_EQ(options.port, 8883);
  EXPECT_EQ(options.pace, 0.5);
  EXPECT_TRUE(options.fast);
  EXPECT_EQ(options.level, "warning");
  EXPECT_EQ(options.keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.extra.front().second, "1000");
  EXPECT_EQ(options.ca, "/etc/ca.pem");
  EXPECT_EQ(options.devices, (std::vector<std::string>{"motor-01", "motor-02"}));
}

TEST(Config, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOf("host: a\n\nprot: 12\n"),
            "gateway.yaml:3: unknown key 'prot'; did you mean 'port'?");
  EXPECT_EQ(ErrorOf("port: 1\nzzzzzz: 12\n"), "gateway.yaml:2: unknown key 'zzzzzz'");
  EXPECT_EQ(ErrorOf("host: a"), "gateway.yaml:1: missing key 'port'");
  EXPECT_EQ(ErrorOf(""), "gateway.yaml:1: missing key 'port'");
  EXPECT_EQ(ErrorOf("port: abc"), "gateway.yaml:1: port: expected an integer 1..65535, got 'abc'");
  EXPECT_EQ(ErrorOf("port: 65536"),
            "gateway.yaml:1: port: expected an integer 1..65535, got '65536'");
  EXPECT_EQ(ErrorOf("port: \"80\""),
            "gateway.yaml:1: port: expected an integer 1..65535, got the text \"80\"");
  EXPECT_EQ(ErrorOf("port:\nhost: a"),
            "gateway.yaml:1: port: expected an integer 1..65535, got nothing");
  EXPECT_EQ(ErrorOf("port: 1\npace: .nan"),
            "gateway.yaml:2: pace: expected a number 0..100, got '.nan'");
  EXPECT_EQ(ErrorOf("port: 1\nfast: yes"),
            "gateway.yaml:2: fast: expected true or false, got 'yes'");
  EXPECT_EQ(ErrorOf("port: 1\nlevel: inof"),
            "gateway.yaml:2: level: expected one of debug, info, warning; got 'inof'; did you mean "
            "'info'?");
  EXPECT_EQ(ErrorOf("port: 1\ntls:\n  a: 1"),
            "gateway.yaml:3: unknown key 'a' in 'tls'; did you "
            "mean 'ca'?");
  EXPECT_EQ(ErrorOf("port: 1\ntls: {}"), "gateway.yaml:2: missing key 'ca' in 'tls'");
  EXPECT_EQ(ErrorOf("port: 1\ndevices:\n  - id: ok\n  - id: bad"),
            "gateway.yaml:4: devices[1].id: is a bad name");
  EXPECT_EQ(ErrorOf("port: 1\ndevices: 3"), "gateway.yaml:2: devices: expected a list, got '3'");
  EXPECT_EQ(ErrorOf("port: 1\nport: 2"), "gateway.yaml:2: key 'port' is given twice");
  EXPECT_EQ(ErrorOf("just text"), "gateway.yaml:1: expected 'key: value' lines, got 'just text'");
}

TEST(Config, RefusesWhatYamlOffersToAttackers) {
  EXPECT_EQ(ErrorOf("port: &a 1"), "gateway.yaml:1: anchors (&name) are not accepted");
  EXPECT_EQ(ErrorOf("port: !!binary x"),
            "gateway.yaml:1: tags are not accepted: 'tag:yaml.org,2002:binary'");
  EXPECT_EQ(ErrorOf("a: " + std::string(1000, '[')), "gateway.yaml:1: nested deeper than 16");
  EXPECT_EQ(ErrorOf("port: 1\n---\nport: 2\n"),
            "gateway.yaml:1: more than one YAML document (---) in the file");
  EXPECT_NE(ErrorOf("port: [1").find("gateway.yaml:1: not YAML: "), std::string::npos);
  EXPECT_NE(ErrorOf("{? {a: 1} : 2}").find("a key must be a word"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(kMaxConfigBytes + 1, ' ')).find("larger than 1048576 bytes"),
            std::string::npos);
}

TEST(Config, ReadsFiles) {
  char path[] = "/tmp/config_test_XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  std::ofstream(path) << "port: 7\n";
  const auto options = LoadFile<Options>(path, Read);
  unlink(path);
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->port, 7);
  const auto absent = LoadFile<Options>(path, Read);
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().message().find("No such file"), std::string::npos);
  EXPECT_FALSE(LoadFile<Options>("/tmp", Read));  // a directory
}

TEST(Config, NearestFindsSlipsOnly) {
  EXPECT_EQ(Nearest("hots", {"port", "host"}), "host");
  EXPECT_EQ(Nearest("session_timeout", {"session_timeout_ms"}), "session_timeout_ms");
  EXPECT_EQ(Nearest("colour", {"port", "host"}), "");
}

}  // namespace
}  // namespace edgeloop::config
