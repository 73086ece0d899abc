// SQLite 3 behind a small seam. Statements collect the first error of a transaction and then do
// nothing more; Commit() reports it and rolls back. So code between Begin and Commit reads as a
// list of statements, and nothing half done is ever kept.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace edgeloop::mlops {

using Blob = std::span<const std::uint8_t>;

class Database;

// Rows of one SELECT. Valid within the transaction that made it.
class Query {
 public:
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();
  bool Next();  // false at the end, or after an error
  std::int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  std::vector<std::uint8_t> Bytes(int column) const;

 private:
  friend class Database;
  Query(Database* database, sqlite3_stmt* statement);
  Database* database_;
  sqlite3_stmt* statement_;  // null after an error
};

class Database {
 public:
  // Creates the file (0600). WAL, synchronous=FULL: a committed transaction survives power loss.
  static Expected<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  template <typename... Args>
  Query Select(std::string_view sql, const Args&... args) {
    sqlite3_stmt* statement = Prepare(sql);
    BindAll(statement, args...);
    return Query(this, statement);
  }
  // Runs a statement that returns nothing; gives the number of rows it changed.
  template <typename... Args>
  std::int64_t Do(std::string_view sql, const Args&... args) {
    {
      Query query = Select(sql, args...);
      query.Next();
    }
    return Changes();
  }
  std::int64_t LastInsertId() const;
  // The first column of the first row; nullopt when there is no row.
  template <typename... Args>
  std::optional<std::int64_t> SelectInt(std::string_view sql, const Args&... args) {
    Query query = Select(sql, args...);
    return query.Next() ? std::optional(query.Int(0)) : std::nullopt;
  }
  template <typename... Args>
  std::optional<std::string> SelectText(std::string_view sql, const Args&... args) {
    Query query = Select(sql, args...);
    return query.Next() ? std::optional(query.Text(0)) : std::nullopt;
  }

 private:
  friend class Query;
  friend class Transaction;
  explicit Database(sqlite3* handle) : handle_(handle) {}

  sqlite3_stmt* Prepare(std::string_view sql);
  template <typename... Args>
  void BindAll([[maybe_unused]] sqlite3_stmt* statement, const Args&... args) {
    [[maybe_unused]] int index = 0;
    (BindOne(statement, ++index, args), ...);
  }
  template <std::integral T>
  void BindOne(sqlite3_stmt* statement, int index, T value) {
    BindInt(statement, index, static_cast<std::int64_t>(value));
  }
  void BindOne(sqlite3_stmt* statement, int index, double value);
  void BindOne(sqlite3_stmt* statement, int index, std::string_view value);
  void BindOne(sqlite3_stmt* statement, int index, Blob value);
  void BindInt(sqlite3_stmt* statement, int index, std::int64_t value);
  void Check(int code);
  std::int64_t Changes() const;

  sqlite3* handle_;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
  std::recursive_mutex mutex_;  // held by each transaction, from begin to end
  int depth_ = 0;
  std::optional<Error> error_;
};

// Nested transactions join the outermost one, which alone commits or rolls back. Other threads
// wait.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();  // rolls back unless committed
  [[nodiscard]] Status Commit();

 private:
  Database& database_;
  std::unique_lock<std::recursive_mutex> lock_;
  bool open_ = true;
};

}  // namespace edgeloop::mlops
