#include "platform/services/registry/blob_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "contracts/ids/model_ref.h"
#include "runtime/signing/signing.h"

namespace edgeloop::registry {
namespace {

namespace fs = std::filesystem;

std::string DigestOf(std::string_view bytes) {
  return signing::Sha256Digest({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

class BlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "edgeloop-blobs-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    store_.emplace(BlobStore::Open(directory_ + "/blobs").value());
  }
  void TearDown() override { fs::remove_all(directory_); }
  long Files() { return std::distance(fs::directory_iterator(directory_ + "/blobs"), {}); }

  std::string directory_;
  std::optional<BlobStore> store_;
};

TEST_F(BlobStoreTest, KeepsBytesUnderTheirDigest) {
  const std::string bytes("a\0b", 3);
  ASSERT_TRUE(store_->Put(DigestOf(bytes), bytes).has_value());
  ASSERT_TRUE(store_->Put(DigestOf(bytes), bytes).has_value()) << "idempotent";
  EXPECT_EQ(store_->Get(DigestOf(bytes)).value(), bytes);
  EXPECT_EQ(store_->Get(DigestOf("other")).error().code(), ErrorCode::kNotFound);
}

TEST_F(BlobStoreTest, RefusesWrongBytesAndPaths) {
  EXPECT_FALSE(store_->Put(DigestOf("a"), "b").has_value());
  EXPECT_FALSE(store_->Put("sha256:../../etc/passwd", "b").has_value());
  EXPECT_FALSE(store_->Get("sha256:../../etc/passwd").has_value());
  EXPECT_FALSE(store_->Put(DigestOf(""), "").has_value());
  const std::string large(kMaxModelBytes + 1, 'x');
  EXPECT_FALSE(store_->Put(DigestOf(large), large).has_value());
  EXPECT_EQ(Files(), 0);
}

TEST_F(BlobStoreTest, NoticesDamageAndTakesTheBlobAgain) {
  ASSERT_TRUE(store_->Put(DigestOf("abc"), "abc").has_value());
  std::ofstream(directory_ + "/blobs/" + DigestOf("abc").substr(7)) << "abd";
  EXPECT_EQ(store_->Get(DigestOf("abc")).error().code(), ErrorCode::kCorrupt);
  ASSERT_TRUE(store_->Put(DigestOf("abc"), "abc").has_value());
  EXPECT_EQ(store_->Get(DigestOf("abc")).value(), "abc");
}

TEST_F(BlobStoreTest, RemovesWhatAnInterruptedUploadLeft) {
  ASSERT_TRUE(store_->Put(DigestOf("abc"), "abc").has_value());
  std::ofstream(directory_ + "/blobs/" + DigestOf("xyz").substr(7) + ".tmp.1.0") << "xy";
  auto reopened = BlobStore::Open(directory_ + "/blobs");
  ASSERT_TRUE(reopened.has_value());
  EXPECT_EQ(Files(), 1);
  EXPECT_EQ(reopened->Get(DigestOf("abc")).value(), "abc");
}

// A file system of 128 KiB that is really full.
TEST_F(BlobStoreTest, FullDiskLeavesNothingHalfWritten) {
  const std::string mount = directory_ + "/small";
  fs::create_directory(mount);
  if (std::system(("mount -t tmpfs -o size=128k none " + mount + " 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "needs the right to mount";
  }
  {
    auto store = BlobStore::Open(mount + "/blobs");
    const std::string bytes(256 << 10, 'x');
    const Status put = store->Put(DigestOf(bytes), bytes);
    EXPECT_FALSE(put.has_value());
    if (!put)
      EXPECT_EQ(put.error().code(), ErrorCode::kResourceExhausted) << put.error().ToString();
    EXPECT_EQ(std::distance(fs::directory_iterator(mount + "/blobs"), {}), 0);
    EXPECT_TRUE(store->Put(DigestOf("abc"), "abc").has_value());
  }
  EXPECT_EQ(std::system(("umount " + mount).c_str()), 0);
}

}  // namespace
}  // namespace edgeloop::registry
