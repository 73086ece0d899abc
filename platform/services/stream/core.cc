#include "platform/services/stream/core.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "platform/services/stream/api/api.h"
#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/protocol/wire.h"

namespace edgeloop::stream {
namespace {

// Keys of the metadata journal (docs/spec/stream-log.md).
constexpr char kClusterIdKey[] = "cluster_id";
constexpr char kProducerIdsKey[] = "producer_ids";
constexpr char kTopicPrefix[] = "topic/";
constexpr char kOffsetPrefix[] = "offset/";
constexpr char kSeparator = '\0';
constexpr size_t kOffsetHeaderBytes = 20;

constexpr int64_t kProducerIdBlock = 1000;  // reserved durably at a time

int64_t WallClockMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string OffsetKey(const std::string& group, const TopicPartition& where) {
  return kOffsetPrefix + group + kSeparator + where.topic + kSeparator +
         std::to_string(where.partition);
}

std::string EncodeOffset(const CommittedOffset& offset) {
  std::string value(kOffsetHeaderBytes, '\0');
  auto* to = reinterpret_cast<uint8_t*>(value.data());
  StoreBe(to, offset.offset);
  StoreBe(to + 8, offset.leader_epoch);
  StoreBe(to + 12, offset.committed_at_ms);
  return value + offset.metadata;
}

}  // namespace

CoreMetrics::CoreMetrics(metrics::Registry& registry)
    : requests(registry.AddCounter("stream_requests_total", "Requests received")),
      produced_batches(
          registry.AddCounter("stream_produced_batches_total", "Record batches made durable")),
      produced_bytes(registry.AddCounter("stream_produced_bytes_total", "Their bytes")),
      fetched_bytes(registry.AddCounter("stream_fetched_bytes_total", "Record bytes sent")),
      storage_errors(
          registry.AddCounter("stream_storage_errors_total", "Writes that the storage refused")),
      topics(registry.AddGauge("stream_topics", "Topics")),
      log_bytes(
          registry.AddGauge("stream_log_bytes", "Size of all logs, at the last housekeeping")) {}

Core::Core(EventLoop& loop, fs::FileSystem& fs, metrics::Registry& metrics,
           const CoreOptions& options, uint64_t random, Send send, Notice notice)
    : loop_(loop),
      fs_(fs),
      options_(options),
      random_(random),
      send_(std::move(send)),
      notice_(std::move(notice)),
      groups_(loop, options.groups, random),
      fetches_(*this),
      metrics_(metrics) {}

Core::~Core() {
  loop_.Cancel(&housekeeping_);
  worker_.Stop();
  for (auto& [name, topic] : topics_) {
    for (auto& partition : topic.partitions) {
      if (auto status = partition->log->Close(); !status) {
        Note(true, "closing " + name + ": " + status.error().ToString());
      }
    }
  }
}

Expected<std::unique_ptr<Core>> Core::Create(EventLoop& loop, fs::FileSystem& fs,
                                             metrics::Registry& metrics, const CoreOptions& options,
                                             uint64_t random, Send send, Notice notice) {
  std::unique_ptr<Core> core(
      new Core(loop, fs, metrics, options, random, std::move(send), std::move(notice)));
  if (auto status = core->Load(); !status) return Fail(status.error(), options.data_dir);
  return core;
}

std::string Core::TopicDir(const std::string& name) const {
  return options_.data_dir + "/topics/" + name;
}

size_t Core::partition_count() const {
  size_t count = creating_partitions_;
  for (const auto& [name, topic] : topics_) count += topic.partitions.size();
  return count;
}

Status Core::Load() {
  for (const char* sub : {"/topics", "/trash"}) {
    if (auto status = fs_.MakeDirs(options_.data_dir + sub); !status) return status;
  }
  RecoveryReport report;
  auto meta = MetaJournal::Open(fs_, options_.data_dir + "/metadata.journal", &report);
  if (!meta) return Fail(meta.error());
  meta_ = std::move(*meta);
  worker_.SetMeta(meta_.get());
  for (const auto& [key, value] : meta_->entries()) {
    if (key == kClusterIdKey) cluster_id_ = value;
    if (key == kProducerIdsKey) {
      std::from_chars(value.data(), value.data() + value.size(), next_producer_id_);
    }
    if (key.starts_with(kTopicPrefix)) {
      if (auto status = LoadTopic(key.substr(sizeof kTopicPrefix - 1), value, &report); !status) {
        return status;
      }
    }
    if (key.starts_with(kOffsetPrefix)) LoadOffset(key, value);
  }
  reserved_producer_ids_ = next_producer_id_;
  if (cluster_id_.empty()) {
    char id[24];
    std::snprintf(id, sizeof id, "edgeloop-%013" PRIx64, random_ & 0xFFFFFFFFFFFFF);
    cluster_id_ = id;
    meta_->Put(kClusterIdKey, cluster_id_);
    if (auto status = meta_->Sync(); !status) return status;
  }
  UpdateGauges();
  for (const std::string& note : report.notes) Note(false, "recovery: " + note);
  for (const std::string& damage : report.damage) Note(true, "recovery: " + damage);
  return RemoveOrphans();
}

Status Core::LoadTopic(const std::string& name, std::string_view text, RecoveryReport* report) {
  Topic topic{.name = name};
  size_t count = 0;
  if (!ValidTopicName(name) || !DecodeTopic(text, &count, &topic.config)) {
    return Fail(ErrorCode::kCorrupt, "metadata of topic '" + name + "' is malformed");
  }
  auto settings = ParseTopicConfig(topic.config);
  if (!settings) return Fail(settings.error(), "topic " + name);
  topic.log_options = settings->log;
  topic.max_message_bytes = settings->max_message_bytes;
  if (auto status = OpenPartitions(&topic, count, report); !status) return status;
  topics_.emplace(name, std::move(topic));
  return {};
}

Status Core::OpenPartitions(Topic* topic, size_t count, RecoveryReport* report) {
  for (size_t i = 0; i < count; ++i) {
    const std::string dir = TopicDir(topic->name) + "/" + std::to_string(i);
    if (auto status = fs_.MakeDirs(dir); !status) return status;
    auto log = PartitionLog::Open(fs_, dir, topic->log_options, report);
    if (!log) return Fail(log.error());
    auto partition = std::make_unique<Partition>();
    partition->id = static_cast<int32_t>(i);
    partition->log = std::move(*log);
    topic->partitions.push_back(std::move(partition));
  }
  if (auto status = fs_.SyncDir(TopicDir(topic->name)); !status) return status;
  return fs_.SyncDir(options_.data_dir + "/topics");
}

void Core::LoadOffset(std::string_view key, std::string_view value) {
  key.remove_prefix(sizeof kOffsetPrefix - 1);
  const size_t first = key.find(kSeparator);
  const size_t second = key.rfind(kSeparator);
  if (first == std::string_view::npos || first == second || value.size() < kOffsetHeaderBytes) {
    return;
  }
  TopicPartition where{std::string(key.substr(first + 1, second - first - 1))};
  const std::string_view number = key.substr(second + 1);
  std::from_chars(number.data(), number.data() + number.size(), where.partition);
  const auto* from = reinterpret_cast<const uint8_t*>(value.data());
  groups_.SetOffset(std::string(key.substr(0, first)), where,
                    {LoadBe<int64_t>(from), LoadBe<int32_t>(from + 8),
                     std::string(value.substr(kOffsetHeaderBytes)), LoadBe<int64_t>(from + 12)});
}

Status Core::RemoveOrphans() {
  if (auto status = fs::RemoveTree(fs_, options_.data_dir + "/trash"); !status) return status;
  if (auto status = fs_.MakeDirs(options_.data_dir + "/trash"); !status) return status;
  auto entries = fs_.List(options_.data_dir + "/topics");
  if (!entries) return Fail(entries.error());
  for (const fs::DirEntry& entry : *entries) {
    if (topics_.contains(entry.name)) continue;
    const std::string dir = TopicDir(entry.name);
    if (meta_->lost_entries()) {
      Note(true, dir +
                     " belongs to no known topic and metadata was lost: kept; create the topic "
                     "again while the broker is stopped, or remove the directory");
      continue;
    }
    // Its creation or deletion was interrupted.
    if (auto status = fs::RemoveTree(fs_, dir); !status) return status;
  }
  return {};
}

bool Core::Handle(RequestSlot slot, const Peer& peer, std::vector<uint8_t> frame) {
  metrics_.requests.Add();
  return DispatchRequest(*this, slot, peer, std::move(frame));
}

Topic* Core::FindTopic(std::string_view name) {
  auto found = topics_.find(name);
  return found == topics_.end() || found->second.deleting ? nullptr : &found->second;
}

Partition* Core::FindPartition(std::string_view topic, int32_t partition) {
  Topic* found = FindTopic(topic);
  if (found == nullptr || partition < 0 ||
      static_cast<size_t>(partition) >= found->partitions.size()) {
    return nullptr;
  }
  return found->partitions[static_cast<size_t>(partition)].get();
}

void Core::CreateTopic(const std::string& name, int32_t partitions, TopicConfig config,
                       bool validate_only, TopicDone done) {
  if (partitions == -1) partitions = options_.default_partitions;
  if (!ValidTopicName(name)) {
    return done({KafkaError::kInvalidTopic, "a topic name has 1 to 249 of a-z A-Z 0-9 . _ -"});
  }
  if (topics_.contains(name) || creating_.contains(name)) {
    return done({KafkaError::kTopicAlreadyExists, "topic '" + name + "' exists"});
  }
  if (partitions < 1) return done({KafkaError::kInvalidPartitions, "partitions must be 1 or more"});
  if (topics_.size() + creating_.size() >= options_.limits.max_topics ||
      partition_count() + static_cast<size_t>(partitions) > options_.limits.max_partitions) {
    return done({KafkaError::kPolicyViolation,
                 "limits.max_topics " + std::to_string(options_.limits.max_topics) +
                     " or limits.max_partitions " + std::to_string(options_.limits.max_partitions) +
                     " reached"});
  }
  auto settings = ParseTopicConfig(config);
  if (!settings) return done({KafkaError::kInvalidConfig, settings.error().message()});
  const std::string encoded = EncodeTopic(static_cast<size_t>(partitions), config);
  if (encoded.size() > MetaJournal::kMaxEntryBytes / 2) {
    return done({KafkaError::kInvalidConfig, "topic settings are too long"});
  }
  if (validate_only) return done({});

  creating_.insert(name);
  creating_partitions_ += static_cast<size_t>(partitions);
  auto topic = std::make_unique<Topic>();
  topic->name = name;
  topic->config = std::move(config);
  topic->log_options = settings->log;
  topic->max_message_bytes = settings->max_message_bytes;
  worker_.Post([this, partitions, encoded, topic = std::move(topic),
                done = std::move(done)](CommitGroup& group) mutable {
    RecoveryReport report;
    // A former topic of this name, whose removal was interrupted, leaves nothing behind.
    Status opened = fs::RemoveTree(fs_, TopicDir(topic->name));
    if (opened) opened = OpenPartitions(topic.get(), static_cast<size_t>(partitions), &report);
    if (opened) group.meta().Put(kTopicPrefix + topic->name, encoded);
    group.Then([this, partitions, opened, topic = std::move(topic),
                done = std::move(done)](const CommitGroup& committed) mutable {
      const Status status = opened ? committed.meta_status() : opened;
      loop_.Post(
          [this, partitions, status, topic = std::move(topic), done = std::move(done)]() mutable {
            creating_.erase(topic->name);
            creating_partitions_ -= static_cast<size_t>(partitions);
            ReportStorage(status.has_value(), status ? "" : status.error().ToString());
            if (!status) return done({KafkaError::kKafkaStorageError, status.error().message()});
            std::string key = topic->name;
            topics_.emplace(std::move(key), std::move(*topic));
            UpdateGauges();
            done({});
          });
    });
  });
}

void Core::DeleteTopic(const std::string& name, TopicDone done) {
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    return done({KafkaError::kUnknownTopicOrPartition, "there is no topic '" + name + "'"});
  }
  // From here on nobody finds it: what was posted for it before runs before the deletion.
  topic->deleting = true;
  for (auto& partition : topic->partitions) fetches_.Wake(*partition);
  const auto forgotten = groups_.ForgetTopic(name);
  worker_.Post([this, name, forgotten, done = std::move(done)](CommitGroup& group) mutable {
    group.meta().Delete(kTopicPrefix + name);
    for (const auto& [id, where] : forgotten) group.meta().Delete(OffsetKey(id, where));
    group.Then([this, name, done = std::move(done)](const CommitGroup& committed) mutable {
      loop_.Post([this, name, status = committed.meta_status(), done = std::move(done)]() mutable {
        ReportStorage(status.has_value(), status ? "" : status.error().ToString());
        if (!status) {
          topics_.at(name).deleting = false;
          return done({KafkaError::kKafkaStorageError, status.error().message()});
        }
        // Its files go with the worker, which alone writes; the name is free at once.
        auto removed = std::make_unique<Topic>(std::move(topics_.at(name)));
        topics_.erase(name);
        UpdateGauges();
        const std::string trash = options_.data_dir + "/trash/" + std::to_string(next_trash_++);
        worker_.Post([this, trash, removed = std::move(removed)](CommitGroup&) mutable {
          const std::string dir = TopicDir(removed->name);
          removed.reset();
          Status gone = fs_.Rename(dir, trash);
          if (gone) gone = fs::RemoveTree(fs_, trash);
          if (!gone) {
            loop_.Post([this, dir, gone] {
              Note(true, "removing " + dir + ": " + gone.error().ToString() +
                             "; the next start removes it");
            });
          }
        });
        done({});
      });
    });
  });
}

void Core::NewProducerId(ProducerIdDone done) {
  if (next_producer_id_ < reserved_producer_ids_) return done(next_producer_id_++);
  const int64_t first = reserved_producer_ids_;
  reserved_producer_ids_ += kProducerIdBlock;
  // Ids of this block are given out when it is durable; further requests reserve their own.
  next_producer_id_ = reserved_producer_ids_;
  worker_.Post([this, first, done = std::move(done)](CommitGroup& group) mutable {
    group.meta().Put(kProducerIdsKey, std::to_string(first + kProducerIdBlock));
    group.Then([this, first, done = std::move(done)](const CommitGroup& committed) mutable {
      loop_.Post([this, first, status = committed.meta_status(), done = std::move(done)]() mutable {
        ReportStorage(status.has_value(), status ? "" : status.error().ToString());
        if (!status) return done(Fail(status.error()));
        if (first + kProducerIdBlock == reserved_producer_ids_) next_producer_id_ = first + 1;
        done(first);
      });
    });
  });
}

void Core::CommitOffsets(const std::string& group_id, std::vector<OffsetChange> changes,
                         std::move_only_function<void(bool durable)> done) {
  const int64_t now_ms = WallClockMs();
  for (OffsetChange& change : changes) change.offset.committed_at_ms = now_ms;
  worker_.Post([this, group_id, changes = std::move(changes),
                done = std::move(done)](CommitGroup& group) mutable {
    for (const OffsetChange& change : changes) {
      group.meta().Put(OffsetKey(group_id, change.where), EncodeOffset(change.offset));
    }
    group.Then([this, group_id, changes = std::move(changes),
                done = std::move(done)](const CommitGroup& committed) mutable {
      loop_.Post([this, group_id, changes = std::move(changes), status = committed.meta_status(),
                  done = std::move(done)]() mutable {
        ReportStorage(status.has_value(), status ? "" : status.error().ToString());
        if (status) {
          for (OffsetChange& change : changes) {
            groups_.SetOffset(group_id, change.where, std::move(change.offset));
          }
        }
        done(status.has_value());
      });
    });
  });
}

void Core::ReportStorage(bool ok, const std::string& detail) {
  if (!ok) metrics_.storage_errors.Add();
  if (ok == !storage_failing_) return;
  storage_failing_ = !ok;
  if (ok) {
    Note(false, "storage works again");
  } else {
    Note(true, "storage fails, producers get KAFKA_STORAGE_ERROR until it recovers: " + detail);
  }
}

void Core::UpdateGauges() {
  uint64_t bytes = 0;
  for (const auto& [name, topic] : topics_) {
    for (const auto& partition : topic.partitions) bytes += partition->log->size_bytes();
  }
  metrics_.topics.Set(static_cast<double>(topics_.size()));
  metrics_.log_bytes.Set(static_cast<double>(bytes));
}

void Core::StartHousekeeping() {
  housekeeping_ = loop_.RunAfter(options_.limits.retention_check_ms,
                                 [this] { CleanLogs([this] { StartHousekeeping(); }); });
}

void Core::CleanLogs(std::move_only_function<void()> done) {
  const int64_t now_ms = WallClockMs();
  UpdateGauges();
  const auto old_offsets = groups_.ForgetOld(now_ms - options_.limits.offsets_retention_ms);
  // One task a log: producers wait for one of them at most.
  for (auto& [name, topic] : topics_) {
    if (topic.deleting) continue;
    for (auto& partition : topic.partitions) {
      worker_.Post([this, now_ms, name, log = partition->log.get(),
                    compact = topic.log_options.compact](CommitGroup&) {
        Status status = log->ApplyRetention(now_ms);
        if (status && compact) status = log->Compact(now_ms);
        if (!status) {
          loop_.Post([this, name, status] {
            Note(true, "cleaning topic " + name + ": " + status.error().ToString());
          });
        }
      });
    }
  }
  worker_.Post([this, old_offsets, done = std::move(done)](CommitGroup& group) mutable {
    for (const auto& [id, where] : old_offsets) group.meta().Delete(OffsetKey(id, where));
    loop_.Post(std::move(done));
  });
}

}  // namespace edgeloop::stream
