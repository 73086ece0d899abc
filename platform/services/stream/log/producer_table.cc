#include "platform/services/stream/log/producer_table.h"

#include <algorithm>
#include <string>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"

namespace edgeloop::stream {
namespace {

constexpr uint32_t kSnapshotMagic = 0x454C5350;  // "ELSP"
constexpr uint16_t kSnapshotVersion = 1;
constexpr size_t kSnapshotHeaderBytes = 20;
constexpr size_t kProducerBytes = 24;
constexpr size_t kBatchBytes = 16;

// Sequences wrap from 2^31-1 to 0.
int32_t Advance(int32_t sequence, int32_t by) {
  return static_cast<int32_t>((static_cast<uint32_t>(sequence) + static_cast<uint32_t>(by)) &
                              0x7FFFFFFF);
}

}  // namespace

SequenceCheck ProducerTable::Check(const BatchHeader& header) const {
  if (header.producer_id == kNoProducerId) return {};
  const auto found = producers_.find(header.producer_id);
  // An unknown producer may begin anywhere: retention or expiry may have taken its past.
  if (found == producers_.end()) return {};
  const Producer& producer = found->second;
  if (header.producer_epoch < producer.epoch) return {SequenceVerdict::kStaleEpoch};
  if (header.producer_epoch > producer.epoch) {
    return {header.base_sequence == 0 ? SequenceVerdict::kAccept : SequenceVerdict::kOutOfOrder};
  }
  const int32_t last = Advance(header.base_sequence, header.last_offset_delta);
  for (size_t i = 0; i < producer.count; ++i) {
    const Batch& batch = producer.batches[i];
    if (batch.first_sequence == header.base_sequence && batch.last_sequence == last) {
      return {SequenceVerdict::kDuplicate, batch.base_offset};
    }
  }
  return {header.base_sequence == producer.next_sequence ? SequenceVerdict::kAccept
                                                         : SequenceVerdict::kOutOfOrder};
}

void ProducerTable::EvictIfFull() {
  if (producers_.size() < max_producers_) return;
  producers_.erase(std::ranges::min_element(
      producers_, {}, [](const auto& entry) { return entry.second.last_timestamp_ms; }));
}

void ProducerTable::Apply(const BatchHeader& header) {
  if (header.producer_id == kNoProducerId) return;
  auto found = producers_.find(header.producer_id);
  Undo undo{header.producer_id, std::nullopt, header.producer_epoch, header.base_sequence};
  if (found == producers_.end()) {
    EvictIfFull();
    found = producers_.emplace(header.producer_id, Producer{}).first;
  } else {
    undo.before = found->second;
  }
  undo_.push_back(undo);
  Producer& producer = found->second;
  if (producer.epoch != header.producer_epoch) producer.count = 0;
  producer.epoch = header.producer_epoch;
  if (producer.count == kRememberedBatches) {
    std::shift_left(producer.batches.begin(), producer.batches.end(), 1);
    --producer.count;
  }
  const int32_t last = Advance(header.base_sequence, header.last_offset_delta);
  producer.batches[producer.count++] = {header.base_sequence, last, header.base_offset};
  producer.next_sequence = Advance(last, 1);
  producer.last_timestamp_ms = std::max(producer.last_timestamp_ms, header.max_timestamp_ms);
}

void ProducerTable::Refused(const BatchHeader& header) {
  if (header.producer_id == kNoProducerId || producers_.contains(header.producer_id)) return;
  EvictIfFull();
  producers_[header.producer_id] = {.epoch = header.producer_epoch,
                                    .next_sequence = header.base_sequence,
                                    .last_timestamp_ms = header.max_timestamp_ms};
}

void ProducerTable::Commit() { undo_.clear(); }

void ProducerTable::Rollback() {
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    if (undo->before) {
      producers_[undo->producer_id] = *undo->before;
    } else {
      producers_[undo->producer_id] = {.epoch = undo->epoch, .next_sequence = undo->first_sequence};
    }
  }
  undo_.clear();
}

void ProducerTable::Expire(int64_t before_ms) {
  std::erase_if(producers_,
                [&](const auto& entry) { return entry.second.last_timestamp_ms < before_ms; });
}

std::vector<uint8_t> ProducerTable::Encode(int64_t base_offset) const {
  std::vector<uint8_t> out(kSnapshotHeaderBytes);
  StoreBe(out.data(), kSnapshotMagic);
  StoreBe(out.data() + 4, kSnapshotVersion);
  StoreBe(out.data() + 8, base_offset);
  StoreBe(out.data() + 16, static_cast<uint32_t>(producers_.size()));
  std::vector<int64_t> ids;
  for (const auto& [id, producer] : producers_) ids.push_back(id);
  std::ranges::sort(ids);
  for (const int64_t id : ids) {
    const Producer& producer = producers_.at(id);
    const size_t at = out.size();
    out.resize(at + kProducerBytes + producer.count * kBatchBytes);
    uint8_t* to = out.data() + at;
    StoreBe(to, id);
    StoreBe(to + 8, producer.epoch);
    to[10] = producer.count;
    StoreBe(to + 12, producer.next_sequence);
    StoreBe(to + 16, producer.last_timestamp_ms);
    to += kProducerBytes;
    for (size_t i = 0; i < producer.count; ++i, to += kBatchBytes) {
      StoreBe(to, producer.batches[i].first_sequence);
      StoreBe(to + 4, producer.batches[i].last_sequence);
      StoreBe(to + 8, producer.batches[i].base_offset);
    }
  }
  const uint32_t crc = Crc32c(out);
  out.resize(out.size() + 4);
  StoreBe(out.data() + out.size() - 4, crc);
  return out;
}

Status ProducerTable::Decode(std::span<const uint8_t> bytes, int64_t base_offset) {
  const auto corrupt = [] { return Fail(ErrorCode::kCorrupt, "producer snapshot is damaged"); };
  if (bytes.size() < kSnapshotHeaderBytes + 4) return corrupt();
  const std::span<const uint8_t> body = bytes.first(bytes.size() - 4);
  if (Crc32c(body) != LoadBe<uint32_t>(bytes.data() + body.size())) return corrupt();
  if (LoadBe<uint32_t>(bytes.data()) != kSnapshotMagic ||
      LoadBe<uint16_t>(bytes.data() + 4) != kSnapshotVersion ||
      LoadBe<int64_t>(bytes.data() + 8) != base_offset) {
    return corrupt();
  }
  producers_.clear();
  undo_.clear();
  size_t at = kSnapshotHeaderBytes;
  for (uint32_t left = LoadBe<uint32_t>(bytes.data() + 16); left > 0; --left) {
    if (body.size() - at < kProducerBytes) return corrupt();
    const uint8_t* from = body.data() + at;
    Producer producer{.epoch = LoadBe<int16_t>(from + 8),
                      .count = from[10],
                      .next_sequence = LoadBe<int32_t>(from + 12),
                      .last_timestamp_ms = LoadBe<int64_t>(from + 16)};
    const auto id = LoadBe<int64_t>(from);
    at += kProducerBytes;
    if (producer.count > kRememberedBatches || body.size() - at < producer.count * kBatchBytes) {
      return corrupt();
    }
    for (size_t i = 0; i < producer.count; ++i, at += kBatchBytes) {
      from = body.data() + at;
      producer.batches[i] = {LoadBe<int32_t>(from), LoadBe<int32_t>(from + 4),
                             LoadBe<int64_t>(from + 8)};
    }
    producers_[id] = producer;
  }
  if (at != body.size()) return corrupt();
  return {};
}

}  // namespace edgeloop::stream
