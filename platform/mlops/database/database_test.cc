#include "platform/mlops/database/database.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace edgeloop::mlops {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "databaseXXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    auto opened = Database::Open(dir_ + "/x.db");
    ASSERT_TRUE(opened) << opened.error().ToString();
    database_ = std::move(*opened);
    Transaction transaction(*database_);
    database_->Do("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB, d REAL)");
    ASSERT_TRUE(transaction.Commit());
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::int64_t Count() {
    Transaction transaction(*database_);
    return database_->SelectInt("SELECT COUNT(*) FROM t").value_or(-1);
  }
  std::string dir_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, KeepsEveryType) {
  const std::vector<std::uint8_t> bytes = {0, 1, 255};
  Transaction transaction(*database_);
  EXPECT_EQ(database_->Do("INSERT INTO t VALUES(?,?,?,?)", 7, std::string("x"), Blob(bytes), 0.5),
            1);
  Query query = database_->Select("SELECT a,b,c,d FROM t");
  ASSERT_TRUE(query.Next());
  EXPECT_EQ(query.Int(0), 7);
  EXPECT_EQ(query.Text(1), "x");
  EXPECT_EQ(query.Bytes(2), bytes);
  EXPECT_EQ(query.Real(3), 0.5);
  EXPECT_FALSE(query.Next());
}

TEST_F(DatabaseTest, AnErrorUndoesTheWholeTransaction) {
  {
    Transaction transaction(*database_);
    database_->Do("INSERT INTO t(a) VALUES(1)");
    database_->Do("INSERT INTO t(a) VALUES(1)");  // violates the primary key
    database_->Do("INSERT INTO t(a) VALUES(2)");  // does nothing any more
    EXPECT_FALSE(transaction.Commit());
  }
  EXPECT_EQ(Count(), 0);
}

TEST_F(DatabaseTest, ANestedTransactionGivenUpUndoesTheOuterOne) {
  {
    Transaction outer(*database_);
    database_->Do("INSERT INTO t(a) VALUES(1)");
    { Transaction inner(*database_); }
    EXPECT_FALSE(outer.Commit());
  }
  EXPECT_EQ(Count(), 0);
  {
    Transaction outer(*database_);
    {
      Transaction inner(*database_);
      database_->Do("INSERT INTO t(a) VALUES(1)");
      EXPECT_TRUE(inner.Commit());
    }
    EXPECT_TRUE(outer.Commit());
  }
  EXPECT_EQ(Count(), 1);
}

TEST_F(DatabaseTest, FileIsPrivate) {
  EXPECT_EQ(std::filesystem::status(dir_ + "/x.db").permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace
}  // namespace edgeloop::mlops
