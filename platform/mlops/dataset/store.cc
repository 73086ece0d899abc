#include "platform/mlops/dataset/store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::mlops {
namespace {

static_assert(std::endian::native == std::endian::little, "feature blobs are little-endian");

constexpr std::int64_t kTrimEvery = 256;    // windows between two looks at the bound
constexpr int kMaxIntervals = 10'000;       // of one submission
constexpr std::size_t kMaxTextBytes = 255;  // of a device or a label
constexpr double kNsPerSecond = 1e9;

constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS schema(one INTEGER PRIMARY KEY CHECK(one=1), text TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS offsets(topic TEXT, part INTEGER, next INTEGER NOT NULL,"
    " PRIMARY KEY(topic, part))",
    "CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS devices(device TEXT PRIMARY KEY, sensed_ns INTEGER NOT NULL,"
    " boot INTEGER NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS windows(id INTEGER PRIMARY KEY, device TEXT NOT NULL,"
    " sensed_ns INTEGER NOT NULL, alarm INTEGER NOT NULL, open INTEGER NOT NULL,"
    " digest TEXT NOT NULL, features BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS windows_by_time ON windows(device, sensed_ns)",
    "CREATE TABLE IF NOT EXISTS submissions(submission TEXT PRIMARY KEY,"
    " number INTEGER NOT NULL, done INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS intervals(submission TEXT NOT NULL, device TEXT NOT NULL,"
    " from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, label TEXT NOT NULL,"
    " faulty INTEGER NOT NULL, purpose INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS intervals_by_device ON intervals(device, from_ns)",
    "CREATE TABLE IF NOT EXISTS rows(features BLOB PRIMARY KEY, label TEXT NOT NULL,"
    " faulty INTEGER NOT NULL, purpose INTEGER NOT NULL, fold INTEGER NOT NULL,"
    " regime INTEGER NOT NULL) WITHOUT ROWID",
};

std::string SchemaText(const FeatureSchema& schema) {
  std::string text =
      std::to_string(schema.sample_rate_hz) + " " + std::to_string(schema.window_samples);
  for (const std::string& name : schema.names) text += "\n" + name;
  return text;
}

std::vector<float> ToFloats(const std::vector<std::uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

DatasetStore::DatasetStore(Database* database, FeatureSchema schema, std::int64_t max_windows)
    : database_(database), schema_(std::move(schema)), max_windows_(max_windows) {}

Expected<DatasetStore> DatasetStore::Create(Database* database, FeatureSchema schema,
                                            std::int64_t max_windows) {
  Transaction transaction(*database);
  for (const char* table : kTables) database->Do(table);
  const std::string text = SchemaText(schema);
  database->Do("INSERT OR IGNORE INTO schema VALUES(1, ?)", text);
  const auto stored = database->SelectText("SELECT text FROM schema");
  if (Status committed = transaction.Commit(); !committed) return Fail(committed.error());
  if (stored != text) {
    return Fail(ErrorCode::kInvalidArgument,
                "state_dir holds features of another pipeline (sample rate, channels, window or "
                "operations differ): start with an empty state_dir, or restore the model section");
  }
  return DatasetStore(database, std::move(schema), max_windows);
}

std::map<std::int32_t, std::int64_t> DatasetStore::Offsets(const std::string& topic) {
  std::map<std::int32_t, std::int64_t> offsets;
  Query query = database_->Select("SELECT part, next FROM offsets WHERE topic=?", topic);
  while (query.Next()) offsets[static_cast<std::int32_t>(query.Int(0))] = query.Int(1);
  return offsets;
}

void DatasetStore::SetOffset(const std::string& topic, std::int32_t partition, std::int64_t next) {
  database_->Do("INSERT INTO offsets VALUES(?,?,?) ON CONFLICT DO UPDATE SET next=excluded.next",
                topic, partition, next);
}

void DatasetStore::Count(const std::string& name, std::int64_t by) {
  if (by == 0) return;
  database_->Do("INSERT INTO counters VALUES(?,?) ON CONFLICT DO UPDATE SET value=value+?", name,
                by, by);
}

void DatasetStore::AddTelemetry(const v1::TelemetryRecord& record) {
  if (record.device().empty() || record.device().size() > kMaxTextBytes) return;
  // Order of one device is that of (boot, seq); anything not newer was seen before.
  {
    Query last = database_->Select("SELECT boot, seq FROM devices WHERE device=?", record.device());
    if (last.Next()) {
      const auto boot = static_cast<std::uint64_t>(last.Int(0));
      const auto seq = static_cast<std::uint64_t>(last.Int(1));
      if (std::pair(record.boot(), record.seq()) <= std::pair(boot, seq)) return;
    }
  }
  // Only windows and model events say which model decides; other records may lack it.
  const bool event = record.has_event();
  const bool confirmed = event && record.event().type() == v1::DeviceEvent::MODEL_CONFIRMED;
  const std::string digest = confirmed ? record.event().model_digest() : record.model_digest();
  const std::uint32_t version = confirmed ? record.event().model_version() : record.model_version();
  database_->Do(
      "INSERT INTO devices VALUES(?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
      " sensed_ns=max(sensed_ns, excluded.sensed_ns), boot=excluded.boot, seq=excluded.seq,"
      " digest=CASE WHEN excluded.digest='' THEN digest ELSE excluded.digest END,"
      " version=CASE WHEN excluded.digest='' THEN version ELSE excluded.version END",
      record.device(), record.sensed_at_ns(), record.boot(), record.seq(), digest, version);
  if (record.kind() != v1::FEATURES) return;

  bool fits = record.sample_rate_hz() == schema_.sample_rate_hz &&
              record.window_samples() == schema_.window_samples &&
              record.features_size() == static_cast<int>(schema_.names.size()) &&
              std::ranges::equal(record.feature_names(), schema_.names);
  for (float value : record.features()) fits = fits && std::isfinite(value);
  if (!fits) {
    Count("foreign_windows");
    return;
  }
  std::vector<std::uint8_t> blob(record.features_size() * sizeof(float));
  std::memcpy(blob.data(), record.features().data(), blob.size());
  database_->Do(
      "INSERT INTO windows(device, sensed_ns, alarm, open, digest, features) VALUES(?,?,?,?,?,?)",
      record.device(), record.sensed_at_ns(), record.alarm(), record.actuator_open(),
      record.model_digest(), Blob(blob));
  if (++since_trim_ >= kTrimEvery) TrimWindows();
}

void DatasetStore::TrimWindows() {
  since_trim_ = 0;
  const std::int64_t newest =
      database_->SelectInt("SELECT COALESCE(max(id), 0) FROM windows").value_or(0);
  // Row ids grow by one, so that counting is not needed.
  database_->Do("DELETE FROM windows WHERE id <= ?", newest - max_windows_);
}

void DatasetStore::AddLabel(const v1::Label& label) {
  if (label.submission().empty() || label.submission().size() > kMaxTextBytes ||
      label.intervals_size() > kMaxIntervals) {
    Count("refused_intervals", label.intervals_size());
    return;
  }
  if (database_->Do("INSERT OR IGNORE INTO submissions SELECT ?, COUNT(*), 0 FROM submissions",
                    label.submission()) == 0) {
    return;  // resent
  }
  for (const v1::Label::Interval& interval : label.intervals()) {
    const bool valid =
        !interval.device().empty() && interval.device().size() <= kMaxTextBytes &&
        !interval.label().empty() && interval.label().size() <= kMaxTextBytes &&
        interval.from_ns() < interval.to_ns() &&
        (interval.purpose() == v1::Label::TRAINING || interval.purpose() == v1::Label::VALIDATION);
    // Windows of overlapping intervals share samples: never across the two purposes.
    const bool leaks =
        valid && database_
                     ->SelectInt(
                         "SELECT 1 FROM intervals WHERE device=? AND from_ns < ? AND to_ns > ? AND"
                         " purpose<>? LIMIT 1",
                         interval.device(), interval.to_ns(), interval.from_ns(),
                         static_cast<int>(interval.purpose()))
                     .has_value();
    if (!valid || leaks) {
      Count("refused_intervals");
      continue;
    }
    database_->Do("INSERT INTO intervals VALUES(?,?,?,?,?,?,?)", label.submission(),
                  interval.device(), interval.from_ns(), interval.to_ns(), interval.label(),
                  interval.faulty(), static_cast<int>(interval.purpose()));
  }
}

int DatasetStore::CompleteSubmissions() {
  std::vector<std::string> complete;
  {
    Query query = database_->Select(
        "SELECT submission FROM submissions AS s WHERE done=0 AND NOT EXISTS("
        " SELECT 1 FROM intervals AS i LEFT JOIN devices AS d ON d.device=i.device"
        " WHERE i.submission=s.submission AND (d.device IS NULL OR d.sensed_ns <= i.to_ns))"
        " ORDER BY number");
    while (query.Next()) complete.push_back(query.Text(0));
  }
  for (const std::string& submission : complete) {
    Materialize(submission);
    database_->Do("UPDATE submissions SET done=1 WHERE submission=?", submission);
  }
  return static_cast<int>(complete.size());
}

void DatasetStore::Materialize(const std::string& submission) {
  struct Interval {
    std::string device, label;
    std::int64_t from_ns, to_ns, faulty, purpose;
  };
  std::vector<Interval> intervals;
  {
    // Training first: where a window is in both, training has it.
    Query query = database_->Select(
        "SELECT device, label, from_ns, to_ns, faulty, purpose FROM intervals WHERE submission=?"
        " ORDER BY purpose, device, from_ns",
        submission);
    while (query.Next()) {
      intervals.push_back(
          {query.Text(0), query.Text(1), query.Int(2), query.Int(3), query.Int(4), query.Int(5)});
    }
  }
  const std::int64_t first_regime =
      database_->SelectInt("SELECT COALESCE(max(regime) + 1, 0) FROM rows").value_or(0);
  const auto span_ns = static_cast<std::int64_t>(
      std::llround((schema_.window_samples - 1) * kNsPerSecond / schema_.sample_rate_hz));
  // The n-th stretch of operation of each device counts as the same regime.
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> stretch;
  for (const Interval& interval : intervals) {
    const std::int64_t regime =
        first_regime + stretch[std::pair(interval.device, interval.purpose)]++;
    std::vector<std::vector<std::uint8_t>> windows;
    {
      Query query = database_->Select(
          "SELECT features FROM windows WHERE device=? AND sensed_ns >= ? AND sensed_ns <= ?"
          " AND open=0 ORDER BY sensed_ns, id",
          interval.device, interval.from_ns + span_ns, interval.to_ns);
      while (query.Next()) windows.push_back(query.Bytes(0));
    }
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const std::int64_t inserted =
          database_->Do("INSERT OR IGNORE INTO rows VALUES(?,?,?,?,?,?)", Blob(windows[i]),
                        interval.label, interval.faulty, interval.purpose,
                        static_cast<std::int64_t>(i * kFolds / windows.size()), regime);
      if (inserted > 0) continue;
      const bool same = database_
                            ->SelectInt(
                                "SELECT 1 FROM rows WHERE features=? AND purpose=? AND faulty=?"
                                " AND label=?",
                                Blob(windows[i]), interval.purpose, interval.faulty, interval.label)
                            .has_value();
      if (!same) Count("refused_rows");
    }
  }
}

Snapshot DatasetStore::Build() {
  Snapshot snapshot{.schema = schema_, .rows = {}};
  Query query = database_->Select(
      "SELECT features, label, faulty, purpose, fold, regime FROM rows ORDER BY features");
  while (query.Next()) {
    snapshot.rows.push_back({.features = ToFloats(query.Bytes(0)),
                             .label = query.Text(1),
                             .faulty = query.Int(2) != 0,
                             .purpose = static_cast<Purpose>(query.Int(3)),
                             .fold = static_cast<std::uint8_t>(query.Int(4)),
                             .regime = static_cast<std::uint16_t>(query.Int(5))});
  }
  Canonicalize(&snapshot);
  return snapshot;
}

std::vector<DeviceState> DatasetStore::Devices() {
  std::vector<DeviceState> devices;
  Query query =
      database_->Select("SELECT device, sensed_ns, digest, version FROM devices ORDER BY device");
  while (query.Next()) {
    devices.push_back({query.Text(0), static_cast<std::uint64_t>(query.Int(1)), query.Text(2),
                       static_cast<std::uint32_t>(query.Int(3))});
  }
  return devices;
}

std::optional<DeviceState> DatasetStore::Device(const std::string& device) {
  Query query = database_->Select(
      "SELECT device, sensed_ns, digest, version FROM devices WHERE device=?", device);
  if (!query.Next()) return std::nullopt;
  return DeviceState{query.Text(0), static_cast<std::uint64_t>(query.Int(1)), query.Text(2),
                     static_cast<std::uint32_t>(query.Int(3))};
}

DatasetCounts DatasetStore::Counts() {
  DatasetCounts counts;
  counts.windows = database_->SelectInt("SELECT COUNT(*) FROM windows").value_or(0);
  counts.training_rows =
      database_->SelectInt("SELECT COUNT(*) FROM rows WHERE purpose=1").value_or(0);
  counts.validation_rows =
      database_->SelectInt("SELECT COUNT(*) FROM rows WHERE purpose=2").value_or(0);
  counts.pending_submissions =
      database_->SelectInt("SELECT COUNT(*) FROM submissions WHERE done=0").value_or(0);
  const auto counter = [&](std::string_view name) {
    return database_->SelectInt("SELECT value FROM counters WHERE name=?", name).value_or(0);
  };
  counts.refused_rows = counter("refused_rows");
  counts.refused_intervals = counter("refused_intervals");
  counts.foreign_windows = counter("foreign_windows");
  return counts;
}

std::vector<std::vector<float>> DatasetStore::RecentWindows(const std::string& device,
                                                            const std::string& digest, int limit) {
  std::vector<std::vector<float>> windows;
  Query query = database_->Select(
      "SELECT features FROM windows WHERE device=? AND digest=? AND open=0"
      " ORDER BY sensed_ns DESC LIMIT ?",
      device, digest, limit);
  while (query.Next()) windows.push_back(ToFloats(query.Bytes(0)));
  std::ranges::reverse(windows);
  return windows;
}

DatasetStore::AlarmShare DatasetStore::RecentAlarms(const std::string& device,
                                                    const std::string& digest, bool other,
                                                    int limit) {
  AlarmShare share;
  Query query = database_->Select(
      "SELECT alarm FROM windows WHERE device=? AND (digest=?)<>? AND open=0"
      " ORDER BY sensed_ns DESC LIMIT ?",
      device, digest, other, limit);
  while (query.Next()) {
    ++share.windows;
    share.alarms += query.Int(0);
  }
  return share;
}

}  // namespace edgeloop::mlops
