#include "platform/services/stream/storage_worker.h"

#include <pthread.h>

#include <algorithm>

namespace edgeloop::stream {

void CommitGroup::Sync(PartitionLog& log) {
  if (std::ranges::find(logs_, &log) == logs_.end()) logs_.push_back(&log);
}

void CommitGroup::Commit() {
  // A failed sync takes back what the log appended: its requests see that by IsDurable().
  for (PartitionLog* log : logs_) static_cast<void>(log->Sync());
  meta_status_ = meta_.Sync();
  for (Done& done : done_) done(*this);
}

void StorageWorker::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "storage");
}

void StorageWorker::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StorageWorker::Post(Task task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void StorageWorker::RunPosted() {
  std::vector<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  if (tasks.empty()) return;
  CommitGroup group(*meta_);
  for (Task& task : tasks) task(group);
  group.Commit();
}

void StorageWorker::Run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
    }
    RunPosted();
  }
}

}  // namespace edgeloop::stream
