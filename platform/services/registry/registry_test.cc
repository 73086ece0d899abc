// The real daemon under mutual TLS: who may do what, and what survives kill -9.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "contracts/ids/model_ref.h"
#include "runtime/http/client.h"
#include "runtime/process/child.h"
#include "runtime/signing/signing.h"
#include "runtime/tls/test_ca.h"

namespace edgeloop::registry {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

std::string DigestOf(std::string_view bytes) {
  return signing::Sha256Digest({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // the server closes idle connections
    directory_ = ca_.directory() + "/data";
    for (const char* name : {"signing", "forger"}) {
      const std::string base = ca_.directory() + "/" + name;
      ASSERT_TRUE(signing::CreateKeyFile(base + ".key", base + ".pub").has_value());
    }
    signer_.emplace(signing::Signer::Load(ca_.directory() + "/signing.key").value());
    forger_.emplace(signing::Signer::Load(ca_.directory() + "/forger.key").value());
    const tls::Files files = ca_.Issue("registry");
    std::ofstream(ca_.directory() + "/config.yaml")
        << "listen: {port: 0}\ndata_dir: " << directory_ << "\nport_file: " << ca_.directory()
        << "/ports\npublishers: [{cn: mlops, key_id: " << signer_->key_id()
        << ", public_key: " << ca_.directory() << "/signing.pub}]\ntls: {ca: " << files.ca
        << ", cert: " << files.cert << ", key: " << files.key << "}\n";
    Start();
  }
  void Start() {
    std::filesystem::remove(ca_.directory() + "/ports");
    auto child = process::Child::Start({.command = {EDGELOOP_BIN_DIR "/edgeloop-registry",
                                                    "--config", ca_.directory() + "/config.yaml"}});
    ASSERT_TRUE(child.has_value()) << child.error().ToString();
    daemon_.emplace(std::move(*child));
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!std::filesystem::exists(ca_.directory() + "/ports")) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      ASSERT_FALSE(daemon_->WaitFor(20ms).has_value()) << "daemon ended";
    }
    std::ifstream file(ca_.directory() + "/ports");
    port_ = json::parse(file).at("listen");
    clients_.clear();
  }
  // 0 when the connection broke.
  int Send(const std::string& cn, const std::string& ou, const char* method,
           const std::string& path, const std::string& body = "") {
    auto& client = clients_[cn + ou];
    if (!client) {
      client = http::Client::Create({.port = port_, .tls = ca_.Issue(cn, ou)}).value();
    }
    auto response = client->Send(method, path, body);
    body_ = response ? response->body : response.error().ToString();
    return response ? response->status : 0;
  }
  int AsMlops(const char* method, const std::string& path, const std::string& body = "") {
    return Send("mlops", "service", method, path, body);
  }
  std::string VersionBody(const signing::Signer& signer, uint32_t version,
                          const std::string& bytes) {
    const ModelRef model{"motor", version, DigestOf(bytes), bytes.size()};
    return json{
        {"version", version},
        {"digest", model.digest},
        {"size", model.size_bytes},
        {"signature_b64", signing::Base64Encode(signer.Sign(ModelSigningText(model)).value())},
        {"key_id", signer.key_id()},
        {"metadata", {{"note", "test"}}}}
        .dump();
  }

  tls::TestCa ca_;
  std::string directory_;
  std::optional<signing::Signer> signer_, forger_;
  std::optional<process::Child> daemon_;
  std::map<std::string, std::unique_ptr<http::Client>> clients_;
  int port_ = 0;
  std::string body_;
};

TEST_F(RegistryTest, PublishesSignedVersions) {
  const std::string bytes = "model one";
  const std::string blob = "/v1/blobs/" + DigestOf(bytes);
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", VersionBody(*signer_, 1, bytes)), 404)
      << "no blob yet: " << body_;
  EXPECT_EQ(AsMlops("PUT", blob, bytes), 201) << body_;
  EXPECT_EQ(AsMlops("PUT", blob, "other bytes"), 400) << body_;
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", VersionBody(*signer_, 1, bytes)), 201)
      << body_;
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", VersionBody(*signer_, 1, bytes)), 200)
      << "idempotent: " << body_;
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", VersionBody(*forger_, 2, bytes)), 403)
      << body_;
  json forged = json::parse(VersionBody(*forger_, 2, bytes));
  forged["key_id"] = signer_->key_id();
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", forged.dump()), 403) << body_;
  json moved = json::parse(VersionBody(*signer_, 1, bytes));
  moved["version"] = 7;  // the signature is of version 1
  EXPECT_EQ(AsMlops("POST", "/v1/models/motor/versions", moved.dump()), 403) << body_;
  EXPECT_EQ(AsMlops("POST", "/v1/models/pump/versions", VersionBody(*signer_, 1, bytes)), 403)
      << "signed for another name: " << body_;

  EXPECT_EQ(AsMlops("PUT", "/v1/models/motor/aliases/champion", R"({"version":1})"), 200) << body_;
  EXPECT_EQ(AsMlops("PUT", "/v1/models/motor/aliases/champion", R"({"version":9})"), 404) << body_;
  EXPECT_EQ(AsMlops("GET", "/v1/models/motor"), 200);
  const json model = json::parse(body_);
  EXPECT_EQ(model["aliases"]["champion"], 1);
  ASSERT_EQ(model["versions"].size(), 1u);
  EXPECT_EQ(model["versions"][0]["metadata"]["note"], "test");
  EXPECT_EQ(model["history"][0]["by"], "mlops");
  EXPECT_TRUE(model["history"][0]["from"].is_null());
}

TEST_F(RegistryTest, EveryoneHasTheirRights) {
  const std::string bytes = "model one";
  const std::string blob = "/v1/blobs/" + DigestOf(bytes);
  EXPECT_EQ(Send("gw-01", "device", "PUT", blob, bytes), 403);
  EXPECT_EQ(Send("mlops", "device", "PUT", blob, bytes), 403) << "the name alone is not enough";
  EXPECT_EQ(Send("bridge", "service", "PUT", blob, bytes), 403);
  EXPECT_EQ(AsMlops("PUT", blob, bytes), 201) << body_;
  EXPECT_EQ(Send("gw-01", "device", "GET", blob), 200);
  EXPECT_EQ(body_, bytes);
  EXPECT_EQ(Send("gw-01", "device", "GET", "/v1/models"), 403);
  EXPECT_EQ(Send("ops", "operator", "GET", "/v1/models"), 200);
  EXPECT_EQ(Send("ops", "operator", "PUT", "/v1/models/motor/aliases/champion", "{}"), 403);
  EXPECT_EQ(Send("console", "service", "GET", "/v1/models/motor"), 404);
  EXPECT_EQ(AsMlops("GET", "/v1/blobs/sha256:..%2f..%2fcatalog.sqlite"), 404);
  tls::TestCa foreign;
  auto stranger = http::Client::Create(
      {.port = port_,
       .tls = {ca_.ca_path(), foreign.Issue("mlops").cert, foreign.Issue("mlops").key}});
  ASSERT_TRUE(stranger.has_value());
  EXPECT_FALSE((*stranger)->Send("GET", "/v1/models").has_value());
  EXPECT_EQ(daemon_->Stop(5s), 0);
}

TEST_F(RegistryTest, SurvivesKill) {
  uint32_t answered = 0;
  for (int round = 0; round < 3; ++round) {
    // Killed while it publishes one version after another.
    std::atomic<bool> killed = false;
    std::thread killer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(40 + 30 * round));
      daemon_->Signal(SIGKILL);
      killed = true;
    });
    for (uint32_t version = answered + 1; !killed; ++version) {
      const std::string bytes(20'000, char('a' + version % 26));
      if (AsMlops("PUT", "/v1/blobs/" + DigestOf(bytes), bytes) != 201 ||
          AsMlops("POST", "/v1/models/motor/versions", VersionBody(*signer_, version, bytes)) /
                  100 !=
              2) {
        break;
      }
      answered = version;
    }
    killer.join();
    Start();
    if (answered == 0) continue;
    ASSERT_EQ(AsMlops("GET", "/v1/models/motor"), 200) << body_;
    const json versions = json::parse(body_)["versions"];
    EXPECT_GE(versions.size(), answered) << "an answer was given and forgotten";
    for (const json& version : versions) {
      EXPECT_EQ(AsMlops("GET", "/v1/blobs/" + version["digest"].get<std::string>()), 200) << body_;
    }
  }
}

}  // namespace
}  // namespace edgeloop::registry
