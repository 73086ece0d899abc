// What the APIs work on: topics, groups, waiting fetches, the storage thread. Everything here is
// used on the loop's thread; what must be durable goes through worker().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/fetch_queue.h"
#include "platform/services/stream/group/coordinator.h"
#include "platform/services/stream/log/meta_journal.h"
#include "platform/services/stream/net/event_loop.h"
#include "platform/services/stream/net/server.h"
#include "platform/services/stream/storage_worker.h"
#include "platform/services/stream/topic.h"
#include "runtime/metrics/metrics.h"

namespace edgeloop::stream {

inline constexpr int32_t kNodeId = 1;  // the only one

struct CoreLimits {
  size_t max_topics = 256;
  size_t max_partitions = 1024;       // of all topics
  size_t max_fetch_bytes = 4u << 20;  // of one response
  int64_t max_fetch_wait_ms = 30 * 1000;
  int64_t offsets_retention_ms = 7ll * 24 * 3600 * 1000;  // of groups without members
  int64_t retention_check_ms = 5 * 60 * 1000;
};

struct CoreOptions {
  std::string data_dir;
  std::string advertised_host = "127.0.0.1";
  uint16_t advertised_port = 0;
  bool auto_create_topics = false;
  int32_t default_partitions = 1;
  CoreLimits limits;
  GroupLimits groups;
};

struct CoreMetrics {
  explicit CoreMetrics(metrics::Registry& registry);

  metrics::Counter requests;
  metrics::Counter produced_batches;
  metrics::Counter produced_bytes;
  metrics::Counter fetched_bytes;
  metrics::Counter storage_errors;
  metrics::Gauge topics;
  metrics::Gauge log_bytes;  // as of the last housekeeping
};

struct Request {
  RequestSlot slot;
  Peer peer;
  int16_t api_version = 0;
  int32_t correlation_id = 0;
  std::string client_id;
  std::vector<uint8_t> frame;
  size_t body_at = 0;

  std::span<const uint8_t> body() const { return std::span(frame).subspan(body_at); }
};

class Core {
 public:
  using Send = std::function<void(RequestSlot, std::vector<uint8_t>)>;
  using Notice = std::function<void(bool error, const std::string&)>;

  // Opens the data directory and recovers it. `random` seeds ids (cluster, members).
  static Expected<std::unique_ptr<Core>> Create(EventLoop& loop, fs::FileSystem& fs,
                                                metrics::Registry& metrics,
                                                const CoreOptions& options, uint64_t random,
                                                Send send, Notice notice);
  ~Core();

  // One request; false when it is malformed.
  bool Handle(RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame);
  void Respond(RequestSlot slot, std::vector<uint8_t> frame) { send_(slot, std::move(frame)); }

  const CoreOptions& options() const { return options_; }
  void set_advertised_port(uint16_t port) { options_.advertised_port = port; }
  const std::string& cluster_id() const { return cluster_id_; }
  EventLoop& loop() { return loop_; }
  StorageWorker& worker() { return worker_; }
  GroupCoordinator& groups() { return groups_; }
  FetchQueue& fetches() { return fetches_; }
  CoreMetrics& metrics() { return metrics_; }
  const std::map<std::string, Topic, std::less<>>& topics() const { return topics_; }
  void Note(bool error, const std::string& text) { notice_(error, text); }

  // Null when there is none (or it is about to go).
  Topic* FindTopic(std::string_view name);
  Partition* FindPartition(std::string_view topic, int32_t partition);

  struct TopicResult {
    KafkaError error = KafkaError::kNone;
    std::string message;
  };
  using TopicDone = std::move_only_function<void(const TopicResult&)>;
  // `validate_only`: says what would happen.
  void CreateTopic(const std::string& name, int32_t partitions, TopicConfig config,
                   bool validate_only, TopicDone done);
  void DeleteTopic(const std::string& name, TopicDone done);

  using ProducerIdDone = std::move_only_function<void(Expected<int64_t>)>;
  void NewProducerId(ProducerIdDone done);

  struct OffsetChange {
    TopicPartition where;
    CommittedOffset offset;
  };
  void CommitOffsets(const std::string& group, std::vector<OffsetChange> changes,
                     std::move_only_function<void(bool durable)> done);

  // Storage trouble is told once, and once that it is over.
  void ReportStorage(bool ok, const std::string& detail);

  void StartHousekeeping();
  // Applies retention and compaction now, on the worker; `done` on the loop.
  void CleanLogs(std::move_only_function<void()> done);

 private:
  Core(EventLoop& loop, fs::FileSystem& fs, metrics::Registry& metrics, const CoreOptions& options,
       uint64_t random, Send send, Notice notice);
  Status Load();
  Status LoadTopic(const std::string& name, std::string_view text, RecoveryReport* report);
  void LoadOffset(std::string_view key, std::string_view value);
  Status RemoveOrphans();
  Status OpenPartitions(Topic* topic, size_t count, RecoveryReport* report);
  std::string TopicDir(const std::string& name) const;
  size_t partition_count() const;
  void UpdateGauges();

  EventLoop& loop_;
  fs::FileSystem& fs_;
  CoreOptions options_;
  const uint64_t random_;
  const Send send_;
  const Notice notice_;
  std::unique_ptr<MetaJournal> meta_;
  std::string cluster_id_;
  std::map<std::string, Topic, std::less<>> topics_;
  std::set<std::string> creating_;
  size_t creating_partitions_ = 0;
  uint64_t next_trash_ = 1;
  int64_t next_producer_id_ = 0;
  int64_t reserved_producer_ids_ = 0;  // ids below are durable as given out
  GroupCoordinator groups_;
  FetchQueue fetches_;
  CoreMetrics metrics_;
  bool storage_failing_ = false;
  EventLoop::Timer housekeeping_;
  StorageWorker worker_;  // the last: its thread ends before the rest goes
};

}  // namespace edgeloop::stream
