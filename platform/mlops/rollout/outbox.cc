#include "platform/mlops/rollout/outbox.h"

#include <vector>

namespace edgeloop::mlops {
namespace {
constexpr int kBatch = 64;
}

Expected<Outbox> Outbox::Create(Database* database) {
  Transaction transaction(*database);
  // AUTOINCREMENT: an id is never used again, so that it can name the event.
  database->Do(
      "CREATE TABLE IF NOT EXISTS outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
      " key TEXT NOT NULL, type TEXT NOT NULL, at_ns INTEGER NOT NULL, value BLOB NOT NULL)");
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  return Outbox(database);
}

void Outbox::Add(std::string_view topic, std::string_view key, std::string_view type,
                 std::uint64_t at_ns, std::string_view value) {
  database_->Do("INSERT INTO outbox(topic, key, type, at_ns, value) VALUES(?,?,?,?,?)", topic, key,
                type, at_ns,
                Blob(reinterpret_cast<const std::uint8_t*>(value.data()), value.size()));
}

Status Outbox::Drain(const std::function<Status(const OutboxMessage&)>& send) {
  while (true) {
    std::vector<OutboxMessage> batch;
    {
      Transaction transaction(*database_);
      Query query = database_->Select(
          "SELECT id, topic, key, type, at_ns, value FROM outbox ORDER BY id LIMIT ?", kBatch);
      while (query.Next()) {
        const std::vector<std::uint8_t> value = query.Bytes(5);
        batch.push_back({query.Int(0), query.Text(1), query.Text(2), query.Text(3),
                         static_cast<std::uint64_t>(query.Int(4)),
                         std::string(value.begin(), value.end())});
      }
    }
    if (batch.empty()) return {};
    // Sent without holding the database: the broker may take its time.
    std::int64_t sent = 0;
    Status status;
    for (const OutboxMessage& message : batch) {
      status = send(message);
      if (!status) break;
      sent = message.id;
    }
    if (sent > 0) {
      Transaction transaction(*database_);
      database_->Do("DELETE FROM outbox WHERE id <= ?", sent);
      if (Status committed = transaction.Commit(); !committed) return committed;
    }
    if (!status) return status;
  }
}

}  // namespace edgeloop::mlops
