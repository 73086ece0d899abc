// The working store of the data set: feature windows as they come, labels as they come later, and
// the labelled rows that follow from both. Kept in SQLite together with the stream offsets they
// were read at, in one transaction: each stream record takes effect exactly once.
//
// All functions run inside a Transaction of the caller, whose Commit() reports their errors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "platform/mlops/database/database.h"
#include "platform/mlops/dataset/snapshot.h"

namespace edgeloop::v1 {
class Label;
class TelemetryRecord;
}  // namespace edgeloop::v1

namespace edgeloop::mlops {

struct DeviceState {
  std::string device;
  std::uint64_t last_sensed_ns = 0;
  std::string digest;  // of the model it reported last
  std::uint32_t version = 0;
};

struct DatasetCounts {
  std::int64_t windows = 0;
  std::int64_t training_rows = 0;
  std::int64_t validation_rows = 0;
  std::int64_t refused_rows = 0;       // already in the set for the other purpose or label
  std::int64_t refused_intervals = 0;  // overlap one of the other purpose, or are malformed
  std::int64_t foreign_windows = 0;    // of another pipeline, or not finite
  std::int64_t pending_submissions = 0;
};

class DatasetStore {
 public:
  // `max_windows`: bound of the buffer that waits for labels; the oldest go first.
  static Expected<DatasetStore> Create(Database* database, FeatureSchema schema,
                                       std::int64_t max_windows);

  // The next offset to read of each partition of `topic`.
  std::map<std::int32_t, std::int64_t> Offsets(const std::string& topic);
  void SetOffset(const std::string& topic, std::int32_t partition, std::int64_t next);

  void AddTelemetry(const v1::TelemetryRecord& record);
  void AddLabel(const v1::Label& label);

  // Submissions whose devices have all been heard of past the labelled time become rows; returns
  // how many submissions did.
  int CompleteSubmissions();

  // Rows so far, canonical.
  Snapshot Build();

  std::vector<DeviceState> Devices();
  std::optional<DeviceState> Device(const std::string& device);
  DatasetCounts Counts();

  // Newest windows of a device made under `digest` with the contactor closed, oldest first.
  std::vector<std::vector<float>> RecentWindows(const std::string& device,
                                                const std::string& digest, int limit);
  struct AlarmShare {
    std::int64_t windows = 0;
    std::int64_t alarms = 0;
  };
  // Of the newest `limit` windows of the device that were made under `digest` (or under any other
  // when `other` is set).
  AlarmShare RecentAlarms(const std::string& device, const std::string& digest, bool other,
                          int limit);

  const FeatureSchema& schema() const { return schema_; }

 private:
  DatasetStore(Database* database, FeatureSchema schema, std::int64_t max_windows);
  void Count(const std::string& name, std::int64_t by = 1);
  void Materialize(const std::string& submission);
  void TrimWindows();

  Database* database_;
  FeatureSchema schema_;
  std::int64_t max_windows_;
  std::int64_t since_trim_ = 0;
};

}  // namespace edgeloop::mlops
