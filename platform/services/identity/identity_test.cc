// The real daemon: init, token, enrol by file and by fingerprint, renew.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "platform/services/identity/enrol.h"
#include "runtime/http/client.h"
#include "runtime/process/child.h"

namespace edgeloop::identity {
namespace {

using namespace std::chrono_literals;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class IdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-id-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    fingerprint_ = Run("init --state " + directory_ + "/state");
    fingerprint_ = fingerprint_.substr(fingerprint_.rfind(' ') + 1, 64);
    std::ofstream(directory_ + "/config.yaml")
        << "state_dir: " << directory_ << "/state\nlisten: {port: 0}\nport_file: " << directory_
        << "/ports\ntls: {ca: " << directory_ << "/state/ca.pem, cert: " << directory_
        << "/state/identity.pem, key: " << directory_ << "/state/identity.key}\n";
    auto child =
        process::Child::Start({.command = {Binary(), "--config", directory_ + "/config.yaml"}});
    ASSERT_TRUE(child.has_value()) << child.error().ToString();
    daemon_ = std::make_unique<process::Child>(std::move(*child));
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!std::filesystem::exists(directory_ + "/ports")) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      ASSERT_FALSE(daemon_->WaitFor(20ms).has_value()) << "daemon ended";
    }
    port_ = nlohmann::json::parse(ReadFile(directory_ + "/ports")).at("listen");
  }
  void TearDown() override {
    if (daemon_) EXPECT_EQ(daemon_->Stop(5s), 0);
    std::filesystem::remove_all(directory_);
  }

  static std::string Binary() { return EDGELOOP_BIN_DIR "/edgeloop-identity"; }
  std::string Run(const std::string& arguments) {
    const std::string out = directory_ + "/out.txt";
    EXPECT_EQ(std::system((Binary() + " " + arguments + " > " + out).c_str()), 0) << arguments;
    return ReadFile(out);
  }
  EnrolOptions Options(const std::string& name) {
    const std::string out = directory_ + "/" + name;
    std::filesystem::create_directory(out);
    std::string token =
        Run("token --state " + directory_ + "/state --ou device --name " + name).substr(0, 64);
    return {.port = port_,
            .ca_path = directory_ + "/state/ca.pem",
            .name = name,
            .ou = "device",
            .token = std::move(token),
            .out_dir = out};
  }

  std::string directory_;
  std::string fingerprint_;
  std::unique_ptr<process::Child> daemon_;
  int port_ = 0;
};

TEST_F(IdentityTest, EnrolsOnceThenRenews) {
  EnrolOptions options = Options("gw-01");
  EnrolOptions imposter = options;
  imposter.name = "gw-02";
  EXPECT_FALSE(Enrol(imposter).has_value()) << "a token is for one name";
  auto files = Enrol(options);
  ASSERT_TRUE(files.has_value()) << files.error().ToString();
  auto again = Enrol(options);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  std::filesystem::remove(files->cert);
  EXPECT_FALSE(Enrol(options).has_value()) << "a token is good once";

  // The identity works, and renews its own name only.
  EnrolOptions second = Options("gw-03");
  files = Enrol(second);
  ASSERT_TRUE(files.has_value()) << files.error().ToString();
  auto client = http::Client::Create({.port = port_, .tls = *files});
  ASSERT_TRUE(client.has_value()) << client.error().ToString();
  const auto body = [&](std::string_view name, const char* key) {
    auto csr = tls::CreateKeyAndRequest(directory_ + "/" + key, name, "device", {"localhost"});
    return nlohmann::json{{"csr_pem", csr.value()}}.dump();
  };
  auto renewed = (*client)->Send("POST", "/v1/renew", body("gw-03", "1.key"));
  ASSERT_TRUE(renewed.has_value()) << renewed.error().ToString();
  EXPECT_EQ(renewed->status, 200) << renewed->body;
  auto other = (*client)->Send("POST", "/v1/renew", body("gw-01", "2.key"));
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->status, 403) << other->body;

  auto anonymous = http::Client::Create({.port = port_, .tls = {.ca = files->ca}});
  auto refused = (*anonymous)->Send("POST", "/v1/renew", body("gw-03", "3.key"));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 401) << refused->body;
  EXPECT_EQ((*anonymous)->Call("GET", "/v1/ca").value(), ReadFile(files->ca));

  Run("revoke --state " + directory_ + "/state --cn gw-03");
  auto revoked = (*client)->Send("POST", "/v1/renew", body("gw-03", "4.key"));
  ASSERT_TRUE(revoked.has_value());
  EXPECT_EQ(revoked->status, 403) << revoked->body;
  EXPECT_NE((*anonymous)->Call("GET", "/v1/crl").value().find("X509 CRL"), std::string::npos);
}

TEST_F(IdentityTest, EnrolsByFingerprint) {
  EnrolOptions options = Options("gw-04");
  options.ca_path.clear();
  options.ca_fingerprint = std::string(64, '0');
  auto files = Enrol(options);
  ASSERT_FALSE(files.has_value());
  EXPECT_EQ(files.error().code(), ErrorCode::kUnauthenticated) << files.error().ToString();
  options.ca_fingerprint = fingerprint_;
  files = Enrol(options);
  ASSERT_TRUE(files.has_value()) << files.error().ToString();
  EXPECT_TRUE(tls::CreateClientContext(*files).has_value());
}

}  // namespace
}  // namespace edgeloop::identity
