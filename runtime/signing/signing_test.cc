#include "runtime/signing/signing.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace edgeloop::signing {
namespace {

class SigningTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/signing_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST_F(SigningTest, SignsAndVerifies) {
  ASSERT_TRUE(CreateKeyFile(Path("a.key"), Path("a.pub")));
  ASSERT_TRUE(CreateKeyFile(Path("b.key"), Path("b.pub")));
  struct stat info {};
  ASSERT_EQ(stat(Path("a.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  auto signer = Signer::Load(Path("a.key"));
  ASSERT_TRUE(signer) << signer.error().message();
  auto other = Signer::Load(Path("b.key"));
  ASSERT_TRUE(other);
  EXPECT_EQ(signer->key_id().size(), 16u);
  EXPECT_NE(signer->key_id(), other->key_id());

  auto verifier = Verifier::Load({Path("a.pub")});
  ASSERT_TRUE(verifier) << verifier.error().message();
  auto signature = signer->Sign("model 1");
  ASSERT_TRUE(signature);
  EXPECT_TRUE(verifier->Verify(signer->key_id(), "model 1", *signature));
  EXPECT_FALSE(verifier->Verify(signer->key_id(), "model 2", *signature));
  EXPECT_FALSE(verifier->Verify(other->key_id(), "model 1", *signature));

  auto forged = other->Sign("model 1");
  ASSERT_TRUE(forged);
  const Status refused = verifier->Verify(signer->key_id(), "model 1", *forged);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnauthenticated);
  for (size_t i = 0; i < signature->size(); ++i) {
    (*signature)[i] ^= 1;
    EXPECT_FALSE(verifier->Verify(signer->key_id(), "model 1", *signature)) << i;
    (*signature)[i] ^= 1;
  }
  EXPECT_FALSE(verifier->Verify(signer->key_id(), "model 1", {}));
}

TEST_F(SigningTest, NeverOverwritesAKey) {
  ASSERT_TRUE(CreateKeyFile(Path("a.key"), Path("a.pub")));
  const Status again = CreateKeyFile(Path("a.key"), Path("c.pub"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  ASSERT_FALSE(CreateKeyFile(Path("c.key"), Path("a.pub")));
  EXPECT_FALSE(std::filesystem::exists(Path("c.key")));
}

TEST_F(SigningTest, RefusesWhatIsNoKey) {
  std::ofstream(Path("text")) << "hello";
  EXPECT_FALSE(Signer::Load(Path("text")));
  EXPECT_FALSE(Signer::Load(Path("absent")));
  EXPECT_FALSE(Verifier::Load({Path("text")}));
}

TEST(Digest, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(Sha256Digest({}),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Digest(AsBytes("abc")),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Base64, KnownAnswers) {  // RFC 4648 section 10
  const std::pair<const char*, const char*> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), coded);
    const auto decoded = Base64Decode(coded);
    ASSERT_TRUE(decoded) << coded;
    EXPECT_EQ(std::string(decoded->begin(), decoded->end()), plain);
  }
  for (const char* bad : {"Z", "Zg=", "Zg", "Zh==", "=Zg=", "Zm9v\n", " Zm9", "Zm9v====", "===="}) {
    EXPECT_FALSE(Base64Decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace edgeloop::signing
