#include "runtime/fs/file_system.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "runtime/fs/fault_file_system.h"

namespace edgeloop::fs {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Text(const Expected<std::vector<uint8_t>>& bytes) {
  return bytes ? std::string(bytes->begin(), bytes->end()) : bytes.error().ToString();
}

// The contract that both implementations keep.
void ExerciseContract(FileSystem& fs, const std::string& root) {
  const std::string dir = root + "/a/b";
  ASSERT_TRUE(fs.MakeDirs(dir));
  ASSERT_TRUE(fs.MakeDirs(dir));
  EXPECT_EQ(fs.Open(dir + "/x", OpenMode::kRead).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs.Open(dir + "/x", OpenMode::kReadWrite).error().code(), ErrorCode::kNotFound);
  {
    auto file = fs.Open(dir + "/x", OpenMode::kCreate);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->WriteAt(0, Bytes("hello")));
    ASSERT_TRUE((*file)->WriteAt(5, Bytes(" world")));
    ASSERT_TRUE((*file)->Sync());
    EXPECT_EQ((*file)->Size().value(), 11u);
    std::vector<uint8_t> out(20);
    EXPECT_EQ((*file)->ReadAt(6, out).value(), 5u);
    EXPECT_EQ((*file)->ReadAt(11, out).value(), 0u);
    ASSERT_TRUE((*file)->Truncate(5));
  }
  EXPECT_EQ(Text(ReadFile(fs, dir + "/x", 100)), "hello");
  EXPECT_EQ(ReadFile(fs, dir + "/x", 4).error().code(), ErrorCode::kResourceExhausted);
  ASSERT_TRUE(WriteFileAtomically(fs, dir + "/x", Bytes("new")));
  EXPECT_EQ(Text(ReadFile(fs, dir + "/x", 100)), "new");
  ASSERT_TRUE(fs.Rename(dir + "/x", dir + "/y"));
  ASSERT_TRUE(fs.SyncDir(dir));
  auto entries = fs.List(dir);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().name, "y");
  EXPECT_FALSE(entries->front().is_directory);
  EXPECT_FALSE(fs.Remove(dir));
  ASSERT_TRUE(fs.Rename(root + "/a", root + "/c"));
  EXPECT_EQ(Text(ReadFile(fs, root + "/c/b/y", 100)), "new");
  ASSERT_TRUE(RemoveTree(fs, root + "/c"));
  ASSERT_TRUE(RemoveTree(fs, root + "/c"));
  EXPECT_EQ(fs.List(root + "/c").error().code(), ErrorCode::kNotFound);
}

TEST(FileSystemTest, PosixKeepsTheContract) {
  std::string root = ::testing::TempDir() + "edgeloop-fs-XXXXXX";
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  ExerciseContract(PosixFileSystem(), root);
  EXPECT_TRUE(RemoveTree(PosixFileSystem(), root));
}

TEST(FileSystemTest, FaultKeepsTheContract) {
  FaultFileSystem fs(1);
  ASSERT_TRUE(fs.MakeDirs("/data"));
  ExerciseContract(fs, "/data");
}

TEST(FaultFileSystemTest, CrashKeepsWhatWasSynced) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    FaultFileSystem fs(seed);
    ASSERT_TRUE(fs.MakeDirs("/d"));
    auto file = fs.Open("/d/x", OpenMode::kCreate);
    ASSERT_TRUE((*file)->WriteAt(0, Bytes("durable")));
    ASSERT_TRUE((*file)->Sync());
    ASSERT_TRUE(fs.SyncDir("/d"));
    ASSERT_TRUE((*file)->WriteAt(7, Bytes(" lost?")));
    fs.Crash();
    EXPECT_FALSE((*file)->Sync()) << "a file opened before the crash is dead";
    const std::string after = Text(ReadFile(fs, "/d/x", 100));
    EXPECT_TRUE(after.starts_with("durable")) << after;
  }
}

TEST(FaultFileSystemTest, AtomicWriteSurvivesACrashAtEveryStep) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    for (uint64_t step = 1; step <= 8; ++step) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " step " << step);
      FaultFileSystem fs(seed);
      ASSERT_TRUE(fs.MakeDirs("/d"));
      ASSERT_TRUE(WriteFileAtomically(fs, "/d/x", Bytes("old")));
      fs.CrashAfter(step);
      const bool written = WriteFileAtomically(fs, "/d/x", Bytes("new")).has_value();
      fs.Crash();
      const std::string after = Text(ReadFile(fs, "/d/x", 100));
      if (written) {
        EXPECT_EQ(after, "new");
      } else {
        EXPECT_TRUE(after == "old" || after == "new") << after;
      }
    }
  }
}

TEST(FaultFileSystemTest, FullDiskAndFailingSync) {
  FaultFileSystem fs(1);
  ASSERT_TRUE(fs.MakeDirs("/d"));
  auto file = fs.Open("/d/x", OpenMode::kCreate);
  fs.SetCapacity(4);
  EXPECT_EQ((*file)->WriteAt(0, Bytes("hello")).error().code(), ErrorCode::kResourceExhausted);
  fs.SetCapacity(100);
  EXPECT_TRUE((*file)->WriteAt(0, Bytes("hello")));
  fs.FailSyncs(1);
  EXPECT_EQ((*file)->Sync().error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE((*file)->Sync());
  fs.FailWrites(1);
  EXPECT_EQ((*file)->WriteAt(5, Bytes("x")).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace edgeloop::fs
