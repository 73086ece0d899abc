#include "platform/services/identity/signing_request.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/tls/tls.h"

namespace edgeloop::identity {
namespace {

class SigningRequestTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-csr-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Ours(std::string_view name, std::string_view unit, std::vector<std::string> hosts) {
    return tls::CreateKeyAndRequest(directory_ + "/" + std::to_string(++count_) + ".key", name,
                                    unit, hosts)
        .value();
  }
  // A request by the openssl tool, which can say what our client never would.
  std::string Foreign(const std::string& arguments) {
    const std::string out = directory_ + "/foreign.csr";
    std::filesystem::remove(out);
    const std::string command =
        "openssl req -new -nodes -keyout /dev/null -out " + out + " " + arguments + " 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::ifstream file(out);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string directory_;
  int count_ = 0;
};

TEST_F(SigningRequestTest, ReadsOurs) {
  auto request =
      SigningRequest::Parse(Ours("gw-01", "device", {"localhost", "10.0.0.7", "::1", "a.b"}));
  ASSERT_TRUE(request.has_value()) << request.error().ToString();
  EXPECT_EQ(request->common_name, "gw-01");
  EXPECT_EQ(request->organizational_unit, "device");
  EXPECT_EQ(request->hosts, (std::vector<std::string>{"localhost", "10.0.0.7", "::1", "a.b"}));
}

TEST_F(SigningRequestTest, RefusesEverythingElse) {
  EXPECT_FALSE(SigningRequest::Parse(Ours("GW", "device", {})).has_value());
  EXPECT_FALSE(SigningRequest::Parse(Ours("a/b", "device", {})).has_value());
  EXPECT_FALSE(SigningRequest::Parse(Ours("gw", "root", {})).has_value());
  EXPECT_FALSE(SigningRequest::Parse(Ours("gw", "device", {"*.b"})).has_value());
  EXPECT_FALSE(
      SigningRequest::Parse(Ours("gw", "device", std::vector<std::string>(17, "a"))).has_value());
  std::string forged = Ours("gw", "device", {});
  forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(SigningRequest::Parse(forged).has_value());
  EXPECT_FALSE(SigningRequest::Parse("").has_value());
  EXPECT_FALSE(SigningRequest::Parse(std::string(kMaxRequestBytes + 1, ' ')).has_value());
}

TEST_F(SigningRequestTest, RefusesForeignKeysSubjectsAndExtensions) {
  const std::string p256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 ";
  const std::string subject = "-subj /O=edgeloop/OU=device/CN=gw ";
  const std::string with_san = p256 + subject + "-addext subjectAltName=";
  ASSERT_TRUE(SigningRequest::Parse(Foreign(p256 + subject)).has_value());
  ASSERT_TRUE(SigningRequest::Parse(Foreign(with_san + "DNS:localhost")).has_value());
  for (const std::string& arguments : {
           "-newkey rsa:2048 " + subject,
           "-newkey ec -pkeyopt ec_paramgen_curve:P-384 " + subject,
           p256 + "-subj /O=edgeloop/OU=device/CN=gw/CN=other",
           p256 + "-subj /O=edgeloop/OU=device/CN=gw/C=DE",
           p256 + "-subj /O=other/OU=device/CN=gw",
           p256 + "-subj /OU=device/CN=gw",
           p256 + subject + "-addext basicConstraints=CA:TRUE",
           with_san + "DNS:localhost -addext basicConstraints=CA:TRUE",
           with_san + "email:a@b",
           with_san + "URI:http://a",
           with_san + "IP:2001:db8::1",
       }) {
    EXPECT_FALSE(SigningRequest::Parse(Foreign(arguments)).has_value()) << arguments;
  }
}

}  // namespace
}  // namespace edgeloop::identity
