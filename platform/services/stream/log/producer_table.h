// What one partition remembers of each idempotent producer: its epoch and the last five batches, so
// that a resent batch is answered with its first offset and a hole in the sequence is refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "contracts/error/error.h"
#include "platform/services/stream/log/record_batch.h"

namespace edgeloop::stream {

enum class SequenceVerdict { kAccept, kDuplicate, kOutOfOrder, kStaleEpoch };

struct SequenceCheck {
  SequenceVerdict verdict = SequenceVerdict::kAccept;
  int64_t original_offset = -1;  // of a duplicate
};

class ProducerTable {
 public:
  // As many batches as an idempotent client keeps in flight at most.
  static constexpr size_t kRememberedBatches = 5;

  // `max_producers`: the longest silent one is forgotten beyond it.
  explicit ProducerTable(size_t max_producers) : max_producers_(max_producers) {}

  SequenceCheck Check(const BatchHeader& header) const;
  // Takes up an accepted batch; can be undone until the next Commit().
  void Apply(const BatchHeader& header);
  // The storage refused this batch, which Check() had accepted: what follows it in the sequence
  // must be refused too, or the retry would come out of order.
  void Refused(const BatchHeader& header);

  void Commit();
  // Back to the last Commit(); batches that follow an undone one in their sequence are refused.
  void Rollback();

  // Forgets producers silent since before `before_ms`.
  void Expire(int64_t before_ms);

  std::vector<uint8_t> Encode(int64_t base_offset) const;
  // Replaces the table; kCorrupt unless it was encoded for `base_offset`.
  Status Decode(std::span<const uint8_t> bytes, int64_t base_offset);

  size_t size() const { return producers_.size(); }

 private:
  struct Batch {
    int32_t first_sequence = 0;
    int32_t last_sequence = 0;
    int64_t base_offset = 0;
  };
  struct Producer {
    int16_t epoch = 0;
    uint8_t count = 0;                              // of `batches` in use
    std::array<Batch, kRememberedBatches> batches;  // oldest first
    int32_t next_sequence = 0;
    int64_t last_timestamp_ms = 0;
  };
  struct Undo {
    int64_t producer_id;
    std::optional<Producer> before;
    int16_t epoch;
    int32_t first_sequence;
  };

  void EvictIfFull();

  size_t max_producers_;
  std::unordered_map<int64_t, Producer> producers_;
  std::vector<Undo> undo_;
};

}  // namespace edgeloop::stream
