#include "platform/services/identity/authority.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "platform/services/identity/api.h"
#include "platform/services/identity/tokens.h"
#include "runtime/tls/tls.h"

namespace edgeloop::identity {
namespace {

class AuthorityTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-ca-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    ASSERT_TRUE(Authority::Init(directory_).has_value());
    authority_ =
        Authority::Load(directory_, {.valid_days = 30, .allowed_hosts = {"edge-1"}}).value();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  SigningRequest Request(std::string_view name, std::vector<std::string> hosts = {"localhost"}) {
    key_ = directory_ + "/" + std::to_string(++count_) + ".key";
    auto request =
        SigningRequest::Parse(tls::CreateKeyAndRequest(key_, name, "device", hosts).value());
    EXPECT_TRUE(request.has_value()) << request.error().ToString();
    return std::move(*request);
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  // What the openssl tool prints of a certificate or CRL.
  std::string Openssl(const std::string& arguments) {
    const std::string out = directory_ + "/out.txt";
    status_ = std::system(("openssl " + arguments + " > " + out + " 2>&1").c_str());
    std::ifstream file(out);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string directory_;
  std::unique_ptr<Authority> authority_;
  std::string key_;
  int count_ = 0;
  int status_ = 0;
};

TEST_F(AuthorityTest, KeyIsSecretAndNeverOverwritten) {
  struct stat info {};
  ASSERT_EQ(stat((directory_ + "/ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto again = Authority::Init(directory_);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  auto reloaded = Authority::Load(directory_, {});
  ASSERT_TRUE(reloaded.has_value()) << reloaded.error().ToString();
  EXPECT_EQ((*reloaded)->Fingerprint(), authority_->Fingerprint());
}

TEST_F(AuthorityTest, CertificateSaysWhatItShould) {
  auto pem = authority_->Issue(Request("gw-01", {"localhost", "127.0.0.1", "::1", "edge-1"}),
                               Authority::How::kEnrolled);
  ASSERT_TRUE(pem.has_value()) << pem.error().ToString();
  const std::string path = Write("gw.pem", *pem);
  EXPECT_NE(Openssl("verify -x509_strict -CAfile " + directory_ + "/ca.pem " + path).find("OK"),
            std::string::npos);
  const std::string text = Openssl("x509 -noout -text -in " + path);
  for (const char* part :
       {"O = edgeloop, OU = device, CN = gw-01", "CA:FALSE", "Digital Signature",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:edge-1"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in\n" << text;
  }
  EXPECT_TRUE(tls::CreateServerContext({directory_ + "/ca.pem", path, key_}).has_value());
}

TEST_F(AuthorityTest, OnlyAllowedHosts) {
  auto pem = authority_->Issue(Request("gw-01", {"edge-2"}), Authority::How::kEnrolled);
  ASSERT_FALSE(pem.has_value());
  EXPECT_EQ(pem.error().code(), ErrorCode::kPermissionDenied);
}

TEST_F(AuthorityTest, RevokedNamesStayOut) {
  EXPECT_FALSE(authority_->Issue(Request("gw-01"), Authority::How::kRenewed).has_value())
      << "never enrolled";
  const std::string path =
      Write("gw.pem", authority_->Issue(Request("gw-01"), Authority::How::kEnrolled).value());
  EXPECT_TRUE(authority_->Issue(Request("gw-01"), Authority::How::kRenewed).has_value());
  EXPECT_TRUE(authority_->Issue(Request("gw-02"), Authority::How::kEnrolled).has_value());
  EXPECT_EQ(authority_->Revoke("gw-01").value(), 2u);
  EXPECT_EQ(authority_->Revoke("gw-01").value(), 0u);
  EXPECT_FALSE(authority_->Issue(Request("gw-01"), Authority::How::kRenewed).has_value());
  EXPECT_TRUE(authority_->Issue(Request("gw-02"), Authority::How::kRenewed).has_value());

  const std::string crl = Write("crl.pem", authority_->Crl().value());
  Openssl("verify -crl_check -CRLfile " + crl + " -CAfile " + directory_ + "/ca.pem " + path);
  EXPECT_NE(status_, 0) << "revoked";
}

TEST_F(AuthorityTest, LogSurvivesACutLine) {
  ASSERT_TRUE(authority_->Issue(Request("gw-01"), Authority::How::kEnrolled).has_value());
  std::ofstream(directory_ + "/issued.log", std::ios::app) << "{\"serial\":\"AB";
  ASSERT_TRUE(authority_->Issue(Request("gw-02"), Authority::How::kEnrolled).has_value());
  EXPECT_EQ(authority_->Revoke("gw-01").value(), 1u);
  EXPECT_EQ(authority_->Revoke("gw-02").value(), 1u);
}

TEST_F(AuthorityTest, TokensAreForOneNameOnceAndNotForever) {
  const Tokens tokens(directory_ + "/tokens");
  const auto token = tokens.Create("gw-01", "device", 100, 1'000);
  ASSERT_TRUE(token.has_value()) << token.error().ToString();
  EXPECT_FALSE(tokens.Take(*token, "gw-02", "device", 1'000).has_value());
  EXPECT_FALSE(tokens.Take(*token, "gw-01", "service", 1'000).has_value());
  EXPECT_FALSE(tokens.Take(*token, "gw-01", "device", 1'101).has_value());
  EXPECT_FALSE(tokens.Take("../" + *token, "gw-01", "device", 1'000).has_value());
  EXPECT_FALSE(tokens.Take("", "gw-01", "device", 1'000).has_value());
  for (const auto& file : std::filesystem::directory_iterator(directory_ + "/tokens")) {
    EXPECT_EQ(file.path().string().find(*token), std::string::npos) << "stored in clear";
  }
  std::atomic<int> taken = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        if (tokens.Take(*token, "gw-01", "device", 1'100)) ++taken;
      });
    }
  }
  EXPECT_EQ(taken, 1);
  EXPECT_FALSE(tokens.Create("GW", "device", 1, 1).has_value());
  EXPECT_FALSE(tokens.Create("gw", "boss", 1, 1).has_value());
  EXPECT_FALSE(tokens.Create("bridge", "device", 1, 1).has_value());
  EXPECT_TRUE(tokens.Create("bridge", "service", 1, 1).has_value());
}

TEST(EnrolBodyTest, IsStrict) {
  EXPECT_TRUE(ParseEnrolBody(R"({"csr_pem":"a","token":"b"})", true).has_value());
  EXPECT_TRUE(ParseEnrolBody(R"({"csr_pem":"a"})", false).has_value());
  for (const char* text : {"", "[]", "{}", R"({"csr_pem":"a"})", R"({"csr_pem":1,"token":"b"})",
                           R"({"csr_pem":"a","token":"b","more":1})", "\xff"}) {
    EXPECT_FALSE(ParseEnrolBody(text, true).has_value()) << text;
  }
}

}  // namespace
}  // namespace edgeloop::identity
