// Fetches that wait until enough data came or their time is over. A commit wakes those that wait
// for its partition; nothing polls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "platform/services/stream/net/event_loop.h"
#include "platform/services/stream/net/server.h"

namespace edgeloop::stream {

class Core;
struct Partition;

struct FetchPartition {
  int32_t partition = 0;
  int64_t offset = 0;
  int32_t max_bytes = 0;
};

struct FetchTopic {
  std::string name;
  std::vector<FetchPartition> partitions;
};

struct FetchRequest {
  RequestSlot slot;
  int16_t version = 0;
  int32_t correlation_id = 0;
  int32_t max_wait_ms = 0;
  int32_t min_bytes = 0;
  int32_t max_bytes = 0;
  std::vector<FetchTopic> topics;
};

class FetchQueue {
 public:
  explicit FetchQueue(Core& core) : core_(core) {}
  ~FetchQueue();

  // Answers now, or when there is enough.
  void Add(FetchRequest request);
  // New data in the partition, or it is about to be deleted.
  void Wake(Partition& partition);
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    FetchRequest request;
    EventLoop::Timer timer;
  };

  // The response when it may be sent now.
  bool TryAnswer(const FetchRequest& request, bool time_is_over);
  void Finish(uint64_t id);

  Core& core_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, Waiting> waiting_;
};

}  // namespace edgeloop::stream
