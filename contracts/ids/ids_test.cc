#include "contracts/ids/ids.h"

#include <gtest/gtest.h>

#include "contracts/ids/model_ref.h"

namespace edgeloop {
namespace {

TEST(DeviceIdTest, ParsesGatewayAndDevice) {
  auto id = DeviceId::Parse("gw-01/motor-02");
  ASSERT_TRUE(id.has_value()) << id.error().ToString();
  EXPECT_EQ(id->gateway(), "gw-01");
  EXPECT_EQ(id->device(), "motor-02");
}

TEST(DeviceIdTest, RefusesWhatCouldWidenAnAclOrPath) {
  for (const char* text : {"", "gw", "/m", "g/", "a/b/c", "a/+", "#/b", "A/b", "a/..", "a/b c"}) {
    EXPECT_FALSE(DeviceId::Parse(text).has_value()) << text;
  }
  EXPECT_FALSE(IsValidId(std::string(49, 'a')));
}

TEST(RecordPositionTest, OrdersByBootThenSeq) {
  EXPECT_LT((RecordPosition{1, 9}), (RecordPosition{2, 3}));
  EXPECT_LT((RecordPosition{2, 3}), (RecordPosition{2, 4}));
}

TEST(ModelRefTest, SigningTextCoversEveryField) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(ModelSigningText({"motor", 3, digest, 120}),
            "edgeloop-model-v1\nmotor\n3\n" + digest + "\n120\n");
}

TEST(ModelRefTest, DigestIsLowerCaseHex) {
  EXPECT_TRUE(IsValidDigest("sha256:" + std::string(64, '0')));
  EXPECT_FALSE(IsValidDigest("sha256:" + std::string(64, 'A')));
  EXPECT_FALSE(IsValidDigest("sha256:" + std::string(63, '0')));
  EXPECT_FALSE(IsValidDigest("sha512:" + std::string(64, '0')));
}

}  // namespace
}  // namespace edgeloop
