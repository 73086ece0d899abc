#include "platform/services/registry/catalog.h"

#include <sqlite3.h>

#include <span>

namespace edgeloop::registry {
namespace {

constexpr const char* kSchema = R"(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS versions (
  name TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
  signature BLOB NOT NULL, key_id TEXT NOT NULL, metadata TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL, PRIMARY KEY (name, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aliases (
  name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (name, alias)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, at_ns INTEGER NOT NULL, alias TEXT NOT NULL,
  from_version INTEGER NOT NULL, to_version INTEGER NOT NULL, by TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_of ON history (name, id);
)";

std::unexpected<Error> DatabaseError(sqlite3* db) {
  const int code = sqlite3_errcode(db);
  return Fail(code == SQLITE_FULL                               ? ErrorCode::kResourceExhausted
              : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ErrorCode::kCorrupt
                                                                : ErrorCode::kUnavailable,
              std::string("catalog: ") + sqlite3_errmsg(db));
}

// One prepared statement with its parameters, run once.
class Query {
 public:
  Query(sqlite3* db, const char* sql) : db_(db) {
    ok_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) == SQLITE_OK;
  }
  ~Query() { sqlite3_finalize(statement_); }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& Bind(std::string_view text) {
    ok_ = ok_ && sqlite3_bind_text(statement_, ++bound_, text.data(), int(text.size()),
                                   SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  Query& Bind(int64_t number) {
    ok_ = ok_ && sqlite3_bind_int64(statement_, ++bound_, number) == SQLITE_OK;
    return *this;
  }
  Query& Bind(std::span<const uint8_t> bytes) {
    ok_ = ok_ && sqlite3_bind_blob(statement_, ++bound_, bytes.data(), int(bytes.size()),
                                   SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  // True: a row is there to be read. False: done.
  Expected<bool> Step() {
    const int result = ok_ ? sqlite3_step(statement_) : SQLITE_ERROR;
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return DatabaseError(db_);
  }
  Status Run() {
    auto step = Step();
    if (!step) return Fail(step.error());
    return {};
  }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text == nullptr ? ""
                           : std::string(text, size_t(sqlite3_column_bytes(statement_, column)));
  }
  int64_t Number(int column) const { return sqlite3_column_int64(statement_, column); }
  std::vector<uint8_t> Bytes(int column) const {
    const auto* bytes = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
    return {bytes, bytes + sqlite3_column_bytes(statement_, column)};
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  bool ok_ = false;
};

// Rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(sqlite3* db) : db_(db) {}
  ~Transaction() {
    if (open_) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Status Begin() { return Execute("BEGIN IMMEDIATE", true); }
  Status Commit() { return Execute("COMMIT", false); }

 private:
  Status Execute(const char* sql, bool open) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return DatabaseError(db_);
    open_ = open;
    return {};
  }
  sqlite3* db_;
  bool open_ = false;
};

}  // namespace

void Catalog::Closer::operator()(sqlite3* db) const { sqlite3_close(db); }

Catalog::Catalog(std::unique_ptr<sqlite3, Closer> db) : db_(std::move(db)) {}
Catalog::~Catalog() = default;

Expected<std::unique_ptr<Catalog>> Catalog::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<sqlite3, Closer> db(raw);
  if (opened != SQLITE_OK) return Fail(DatabaseError(raw).error(), path);
  sqlite3_busy_timeout(raw, 5'000);
  if (sqlite3_exec(raw, kSchema, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Fail(DatabaseError(raw).error(), path);
  }
  return std::unique_ptr<Catalog>(new Catalog(std::move(db)));
}

Expected<bool> Catalog::AddVersion(const ModelVersion& version) {
  const std::lock_guard lock(mutex_);
  const ModelRef& model = version.model;
  Transaction transaction(db_.get());
  if (auto ok = transaction.Begin(); !ok) return Fail(ok.error());
  Query existing(db_.get(),
                 "SELECT digest, size, signature, key_id FROM versions WHERE name=? AND version=?");
  auto found = existing.Bind(model.name).Bind(int64_t(model.version)).Step();
  if (!found) return Fail(found.error());
  if (*found) {
    const bool same = existing.Text(0) == model.digest &&
                      existing.Number(1) == int64_t(model.size_bytes) &&
                      existing.Bytes(2) == version.signature && existing.Text(3) == version.key_id;
    if (same) return false;
    return Fail(ErrorCode::kAlreadyExists, "version " + std::to_string(model.version) + " of '" +
                                               model.name + "' is there already with digest " +
                                               existing.Text(0) + "; versions never change");
  }
  Query insert(db_.get(), "INSERT INTO versions VALUES (?,?,?,?,?,?,?,?)");
  auto inserted = insert.Bind(model.name)
                      .Bind(int64_t(model.version))
                      .Bind(model.digest)
                      .Bind(int64_t(model.size_bytes))
                      .Bind(std::span<const uint8_t>(version.signature))
                      .Bind(version.key_id)
                      .Bind(version.metadata)
                      .Bind(version.created_at_ns)
                      .Run();
  if (!inserted) return Fail(inserted.error());
  if (auto ok = transaction.Commit(); !ok) return Fail(ok.error());
  return true;
}

Status Catalog::SetAlias(std::string_view name, std::string_view alias, uint32_t version,
                         std::string_view by, int64_t at_ns) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(db_.get());
  if (auto ok = transaction.Begin(); !ok) return ok;
  Query exists(db_.get(), "SELECT 1 FROM versions WHERE name=? AND version=?");
  auto found = exists.Bind(name).Bind(int64_t(version)).Step();
  if (!found) return Fail(found.error());
  if (!*found) {
    return Fail(ErrorCode::kNotFound,
                "'" + std::string(name) + "' has no version " + std::to_string(version));
  }
  Query before(db_.get(), "SELECT version FROM aliases WHERE name=? AND alias=?");
  auto set = before.Bind(name).Bind(alias).Step();
  if (!set) return Fail(set.error());
  const int64_t from = *set ? before.Number(0) : 0;
  if (from == int64_t(version)) return {};
  Query replace(db_.get(), "INSERT OR REPLACE INTO aliases VALUES (?,?,?)");
  if (auto ok = replace.Bind(name).Bind(alias).Bind(int64_t(version)).Run(); !ok) return ok;
  Query history(db_.get(),
                "INSERT INTO history (name, at_ns, alias, from_version, to_version, by) "
                "VALUES (?,?,?,?,?,?)");
  if (auto ok = history.Bind(name)
                    .Bind(at_ns)
                    .Bind(alias)
                    .Bind(from)
                    .Bind(int64_t(version))
                    .Bind(by)
                    .Run();
      !ok) {
    return ok;
  }
  return transaction.Commit();
}

Expected<std::vector<std::string>> Catalog::Names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  Query query(db_.get(), "SELECT DISTINCT name FROM versions ORDER BY name");
  for (;;) {
    auto row = query.Step();
    if (!row) return Fail(row.error());
    if (!*row) return names;
    names.push_back(query.Text(0));
  }
}

Expected<ModelEntry> Catalog::Get(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  ModelEntry entry;
  entry.name = name;
  const auto each = [&](const char* sql, auto&& read) -> Status {
    Query query(db_.get(), sql);
    query.Bind(name);
    for (;;) {
      auto row = query.Step();
      if (!row) return Fail(row.error());
      if (!*row) return {};
      read(query);
    }
  };
  auto ok = each(
      "SELECT version, digest, size, signature, key_id, metadata, created_at_ns FROM versions "
      "WHERE name=? ORDER BY version",
      [&](const Query& row) {
        entry.versions.push_back(
            {{entry.name, uint32_t(row.Number(0)), row.Text(1), uint64_t(row.Number(2))},
             row.Bytes(3),
             row.Text(4),
             row.Text(5),
             row.Number(6)});
      });
  if (ok && entry.versions.empty()) {
    return Fail(ErrorCode::kNotFound, "no model '" + std::string(name.substr(0, 64)) + "'");
  }
  if (ok) {
    ok = each("SELECT alias, version FROM aliases WHERE name=? ORDER BY alias",
              [&](const Query& row) {
                entry.aliases.emplace_back(row.Text(0), uint32_t(row.Number(1)));
              });
  }
  if (ok) {
    ok = each(
        "SELECT at_ns, alias, from_version, to_version, by FROM history WHERE name=? ORDER BY id",
        [&](const Query& row) {
          entry.history.push_back({row.Number(0), row.Text(1), uint32_t(row.Number(2)),
                                   uint32_t(row.Number(3)), row.Text(4)});
        });
  }
  if (!ok) return Fail(ok.error());
  return entry;
}

}  // namespace edgeloop::registry
