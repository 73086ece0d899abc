#include "platform/services/registry/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "platform/services/registry/api.h"

namespace edgeloop::registry {
namespace {

ModelVersion Version(uint32_t number, char digest = 'a') {
  return {{"motor", number, "sha256:" + std::string(64, digest), 10}, {1, 2, 3}, "key", "{}", 5};
}

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-cat-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    Open();
  }
  void TearDown() override {
    catalog_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Open() {
    catalog_.reset();
    auto catalog = Catalog::Open(directory_ + "/catalog.sqlite");
    ASSERT_TRUE(catalog.has_value()) << catalog.error().ToString();
    catalog_ = std::move(*catalog);
  }

  std::string directory_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, VersionsNeverChange) {
  EXPECT_TRUE(catalog_->AddVersion(Version(2)).value());
  EXPECT_TRUE(catalog_->AddVersion(Version(1, 'b')).value());
  EXPECT_FALSE(catalog_->AddVersion(Version(2)).value()) << "the same again";
  auto other = catalog_->AddVersion(Version(2, 'c'));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code(), ErrorCode::kAlreadyExists);
  Open();
  const auto entry = catalog_->Get("motor");
  ASSERT_TRUE(entry.has_value()) << entry.error().ToString();
  ASSERT_EQ(entry->versions.size(), 2u);
  EXPECT_EQ(entry->versions[0].model.version, 1u);
  EXPECT_EQ(entry->versions[1].model.digest, Version(2).model.digest);
  EXPECT_EQ(entry->versions[1].signature, Version(2).signature);
  EXPECT_EQ(catalog_->Names().value(), std::vector<std::string>{"motor"});
  EXPECT_EQ(catalog_->Get("pump").error().code(), ErrorCode::kNotFound);
}

TEST_F(CatalogTest, AliasesHaveAHistory) {
  ASSERT_TRUE(catalog_->AddVersion(Version(1)).has_value());
  ASSERT_TRUE(catalog_->AddVersion(Version(2, 'b')).has_value());
  EXPECT_EQ(catalog_->SetAlias("motor", "champion", 3, "mlops", 1).error().code(),
            ErrorCode::kNotFound);
  ASSERT_TRUE(catalog_->SetAlias("motor", "champion", 1, "mlops", 1).has_value());
  ASSERT_TRUE(catalog_->SetAlias("motor", "champion", 1, "mlops", 2).has_value());
  ASSERT_TRUE(catalog_->SetAlias("motor", "champion", 2, "mlops", 3).has_value());
  Open();
  const auto entry = catalog_->Get("motor").value();
  ASSERT_EQ(entry.aliases.size(), 1u);
  EXPECT_EQ(entry.aliases[0], (std::pair<std::string, uint32_t>("champion", 2)));
  ASSERT_EQ(entry.history.size(), 2u) << "setting what is set is no change";
  EXPECT_EQ(entry.history[0].from, 0u);
  EXPECT_EQ(entry.history[1].from, 1u);
  EXPECT_EQ(entry.history[1].to, 2u);
  EXPECT_EQ(entry.history[1].by, "mlops");
}

TEST(RegistryBodyTest, IsStrict) {
  const std::string digest = "\"sha256:" + std::string(64, 'a') + "\"";
  const std::string good = R"("version":1,"size":5,"signature_b64":"AQI=","key_id":"k","digest":)";
  auto version = ParseVersionBody("motor", "{" + good + digest + R"(,"metadata":{"a":1}})");
  ASSERT_TRUE(version.has_value()) << version.error().ToString();
  EXPECT_EQ(version->signature, (std::vector<uint8_t>{1, 2}));
  EXPECT_EQ(version->metadata, R"({"a":1})");
  EXPECT_TRUE(ParseVersionBody("motor", "{" + good + digest + "}").has_value());
  EXPECT_FALSE(ParseVersionBody("Motor", "{" + good + digest + "}").has_value());
  for (const std::string& text : {
           std::string(),
           std::string("[]"),
           "{" + good + "\"sha256:zz\"}",
           "{" + good + digest + R"(,"more":1})",
           "{" + good + digest + R"(,"metadata":[]})",
           "{" + good + digest + R"(,"version":0})",
           "{" + good + digest + R"(,"version":-1})",
           "{" + good + digest + R"(,"version":4294967297})",
           "{" + good + digest + R"(,"size":99999999999})",
           "{" + good + digest + R"(,"signature_b64":"*"})",
           R"({"version":1,"size":5,"key_id":"k","digest":)" + digest + "}",
       }) {
    EXPECT_FALSE(ParseVersionBody("motor", text).has_value()) << text;
  }
  EXPECT_EQ(ParseAliasBody(R"({"version":3})").value(), 3u);
  for (const char* text : {"", "3", "{}", R"({"version":"3"})", R"({"version":3,"x":1})",
                           R"({"version":-3})", R"({"version":4294967296})"}) {
    EXPECT_FALSE(ParseAliasBody(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace edgeloop::registry
