// The one thread that writes. Requests of many connections gather while it syncs; then it runs them
// all, syncs each file they touched once, and lets them answer: group commit.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "platform/services/stream/log/meta_journal.h"
#include "platform/services/stream/log/partition_log.h"

namespace edgeloop::stream {

// What the tasks of one round ask for. Used on the worker's thread only.
class CommitGroup {
 public:
  using Done = std::move_only_function<void(const CommitGroup&)>;

  explicit CommitGroup(MetaJournal& meta) : meta_(meta) {}

  void Sync(PartitionLog& log);
  // Changes to it become durable with the group.
  MetaJournal& meta() { return meta_; }
  // Called after the syncs, in order.
  void Then(Done done) { done_.push_back(std::move(done)); }

  // For Done: whether the metadata changes of the group are durable. For a log, ask it:
  // IsDurable().
  const Status& meta_status() const { return meta_status_; }

 private:
  friend class StorageWorker;
  void Commit();

  MetaJournal& meta_;
  Status meta_status_;
  std::vector<PartitionLog*> logs_;
  std::vector<Done> done_;
};

class StorageWorker {
 public:
  using Task = std::move_only_function<void(CommitGroup&)>;

  StorageWorker() = default;
  ~StorageWorker() { Stop(); }

  // Before anything is posted.
  void SetMeta(MetaJournal* meta) { meta_ = meta; }
  void Start();
  // Runs what was posted before, then ends the thread.
  void Stop();
  // From any thread; tasks run in order. How many wait is bounded by the requests in memory
  // (ServerLimits::max_total_request_bytes).
  void Post(Task task);
  // On this thread, for tests that do not Start().
  void RunPosted();

 private:
  void Run();

  MetaJournal* meta_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace edgeloop::stream
