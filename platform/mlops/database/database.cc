#include "platform/mlops/database/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace edgeloop::mlops {
namespace {

constexpr int kBusyTimeoutMs = 5'000;
constexpr char kPragmas[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
    "PRAGMA cache_size=-1024; PRAGMA journal_size_limit=4194304;";

Error SqliteError(sqlite3* handle, int code) {
  const bool full = (code & 0xff) == SQLITE_FULL;
  return Error(full ? ErrorCode::kResourceExhausted : ErrorCode::kInternal,
               std::string("database: ") + sqlite3_errmsg(handle));
}

}  // namespace

Query::Query(Database* database, sqlite3_stmt* statement)
    : database_(database), statement_(statement) {}

Query::Query(Query&& other) noexcept : database_(other.database_), statement_(other.statement_) {
  other.statement_ = nullptr;
}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Query::Next() {
  if (statement_ == nullptr || database_->error_) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->Check(code);
  return false;
}

std::int64_t Query::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Query::Real(int column) const { return sqlite3_column_double(statement_, column); }

std::string Query::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string()
                         : std::string(text, sqlite3_column_bytes(statement_, column));
}

std::vector<std::uint8_t> Query::Bytes(int column) const {
  const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, bytes + sqlite3_column_bytes(statement_, column)};
}

Expected<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  // SQLite would create the file with the umask's mode.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Fail(ErrorCode::kInvalidArgument, path + ": " + std::strerror(errno));
  }
  ::close(fd);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return Fail(SqliteError(handle, code), path);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  const int pragma_code = sqlite3_exec(handle, kPragmas, nullptr, nullptr, nullptr);
  if (pragma_code != SQLITE_OK) return Fail(SqliteError(handle, pragma_code), path);
  return database;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

sqlite3_stmt* Database::Prepare(std::string_view sql) {
  if (error_) return nullptr;
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) {
      error_ = SqliteError(handle_, code).In(sql);
      return nullptr;
    }
    found = statements_.emplace(sql, statement).first;
  }
  return found->second;
}

void Database::BindInt(sqlite3_stmt* statement, int index, std::int64_t value) {
  if (statement != nullptr) Check(sqlite3_bind_int64(statement, index, value));
}
void Database::BindOne(sqlite3_stmt* statement, int index, double value) {
  if (statement != nullptr) Check(sqlite3_bind_double(statement, index, value));
}
void Database::BindOne(sqlite3_stmt* statement, int index, std::string_view value) {
  if (statement == nullptr) return;
  Check(sqlite3_bind_text64(statement, index, value.data() == nullptr ? "" : value.data(),
                            value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}
void Database::BindOne(sqlite3_stmt* statement, int index, Blob value) {
  if (statement == nullptr) return;
  Check(sqlite3_bind_blob64(statement, index, value.data(), value.size(), SQLITE_TRANSIENT));
}

void Database::Check(int code) {
  if (code != SQLITE_OK && !error_) error_ = SqliteError(handle_, code);
}

std::int64_t Database::Changes() const { return error_ ? 0 : sqlite3_changes64(handle_); }
std::int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(handle_); }

Transaction::Transaction(Database& database) : database_(database), lock_(database.mutex_) {
  if (database_.depth_++ > 0) return;
  database_.error_.reset();
  database_.Do("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  if (--database_.depth_ > 0) {
    if (!database_.error_) {
      database_.error_ = Error(ErrorCode::kInternal, "database: nested transaction given up");
    }
    return;
  }
  database_.error_.reset();
  database_.Do("ROLLBACK");
  database_.error_.reset();
}

Status Transaction::Commit() {
  if (database_.depth_ > 1) {
    if (database_.error_) return Fail(*database_.error_);
    open_ = false;
    --database_.depth_;
    return {};
  }
  if (!database_.error_) database_.Do("COMMIT");
  if (database_.error_) return Fail(*database_.error_);  // the destructor rolls back
  open_ = false;
  --database_.depth_;
  return {};
}

}  // namespace edgeloop::mlops
