#include "things/gateway/store/record_store.h"

#include <algorithm>
#include <utility>

namespace edgeloop::gateway {
namespace {

constexpr uint64_t kMinSegmentBytes = 4'096;
// A restart sends again what was acknowledged since the position was last written.
constexpr uint64_t kAckWriteIntervalNs = 5'000'000'000;
constexpr size_t kMainIndex = static_cast<size_t>(LossClass::kMain);

}  // namespace

Expected<std::unique_ptr<RecordStore>> RecordStore::Open(fs::FileSystem& fs, Options options) {
  if (options.segment_bytes < kMinSegmentBytes || options.max_bytes < 4 * options.segment_bytes) {
    return Fail(ErrorCode::kInvalidArgument,
                "record store: segment_bytes must be at least 4096 and max_bytes at least four "
                "times segment_bytes");
  }
  std::unique_ptr<RecordStore> store(new RecordStore(fs, std::move(options)));
  if (Status status = store->Recover(); !status) {
    return Fail(status.error(), "record store " + store->options_.dir);
  }
  return store;
}

uint64_t RecordStore::Append(Kind kind, std::string payload) {
  const bool at_once = LossClassOf(kind) == LossClass::kMain;
  uint64_t seq;
  {
    std::lock_guard lock(mutex_);
    seq = next_seq_++;
    const uint64_t bytes = payload.size() + kFrameHeaderBytes;
    const uint64_t limit = options_.max_pending_bytes * (at_once ? 2 : 1);
    if (payload.size() > kMaxRecordBytes || pending_bytes_ + bytes > limit) {
      memory_loss_.Cover(seq);
      memory_loss_.counts.Add(kind);
      dropped_.Add(kind);
    } else {
      pending_bytes_ += bytes;
      pending_.push_back({seq, kind, std::move(payload)});
    }
  }
  if (options_.on_append) options_.on_append(at_once);
  return seq;
}

bool RecordStore::WaitForRoom(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return room_.wait_for(lock, timeout, [&] {
    return pending_bytes_ <= options_.max_pending_bytes / 2 &&
           disk_bytes_ <= options_.max_bytes / 2;
  });
}

StoreStats RecordStore::stats() const {
  std::lock_guard lock(mutex_);
  return {boot_, next_seq_ - 1, durable_seq_, acked_seq_, dropped_, disk_bytes_};
}

Status RecordStore::Flush() {
  if (AckWorthWriting()) {
    // On a full disk the position can wait; the records below may bring room.
    if (Status status = WriteAck();
        !status && status.error().code() != ErrorCode::kResourceExhausted) {
      return status;
    }
  }
  for (;;) {
    std::vector<Pending> batch;
    {
      std::lock_guard lock(mutex_);
      if (memory_loss_.last_seq != 0) {
        Loss loss = std::exchange(memory_loss_, {});
        loss.at_ns = options_.now_ns();
        loss.totals = dropped_;
        pending_bytes_ += kLossBytes + kFrameHeaderBytes;
        pending_.push_back({next_seq_++, Kind::kLoss, EncodeLoss(loss)});
      }
      batch.assign(std::make_move_iterator(pending_.begin()),
                   std::make_move_iterator(pending_.end()));
      pending_.clear();
    }
    if (batch.empty()) return {};

    Status status = WriteBatch(batch, false);
    // A full disk: give up old records for new ones, least valuable first.
    while (!status && status.error().code() == ErrorCode::kResourceExhausted) {
      auto dropped = DropOldest();
      if (!dropped || !*dropped) break;
      status = WriteBatch(batch, false);
    }
    std::unique_lock lock(mutex_);
    if (!status) {
      pending_.insert(pending_.begin(), std::make_move_iterator(batch.begin()),
                      std::make_move_iterator(batch.end()));
      disk_bytes_ = DiskBytes();
      return status;
    }
    for (const Pending& record : batch) {
      pending_bytes_ -= record.payload.size() + kFrameHeaderBytes;
      if (record.kind == Kind::kLoss) reported_ = DecodeLoss(record.payload)->totals;
    }
    if (!batch.empty()) durable_seq_ = batch.back().seq;
    lock.unlock();
    status = RemoveTombstones();
    PublishDisk();
    if (!status) return status;
  }
}

void RecordStore::PublishDisk() {
  std::lock_guard lock(mutex_);
  disk_bytes_ = DiskBytes();
  room_.notify_all();
}

bool RecordStore::AckWorthWriting() const {
  if (acked_ == acked_on_disk_) return false;
  for (const auto& segments : segments_) {
    const bool removable = &segments != &segments_[kMainIndex] || segments.size() > 1;
    if (removable && !segments.empty() && segments.front().sealed &&
        segments.front().last_seq <= acked_.seq) {
      return true;
    }
  }
  // Before records may be dropped the position is written, so that no acknowledged one counts as
  // lost.
  return DiskBytes() > options_.max_bytes / 4 * 3 ||
         options_.now_ns() >= ack_written_ns_ + kAckWriteIntervalNs;
}

Status RecordStore::Acknowledge(const RecordPosition& position) {
  uint64_t seq = position.seq;
  if (position.boot > boot_ || (position.boot == boot_ && seq > stats().durable_seq)) {
    return Fail(ErrorCode::kInvalidArgument,
                options_.dir + ": acknowledged up to boot " + std::to_string(position.boot) +
                    " number " + std::to_string(position.seq) + ", but this store is at boot " +
                    std::to_string(boot_) + " number " + std::to_string(stats().durable_seq) +
                    ": the store was lost or restored from an old copy");
  }
  // A position of an older boot covers that boot's records only.
  for (const auto& [boot, first_seq] : boot_starts_) {
    if (boot > position.boot) {
      seq = std::min(seq, first_seq - 1);
      break;
    }
  }
  if (seq <= acked_.seq) return {};
  acked_ = {position.boot, seq};
  std::lock_guard lock(mutex_);
  acked_seq_ = seq;
  return {};
}

Status RecordStore::Close() {
  if (Status status = Flush(); !status) return status;
  if (acked_ == acked_on_disk_) return {};
  return WriteAck();
}

Status RecordStore::WriteAck() {
  if (Status status = WriteBatch({}, true); !status) return status;
  acked_on_disk_ = acked_;
  ack_written_ns_ = options_.now_ns();
  Status status = RemoveAcknowledged();
  PublishDisk();
  return status;
}

Expected<const Frame*> RecordStore::Peek(LossClass loss_class, uint64_t after_seq) {
  Cursor& cursor = cursors_[static_cast<size_t>(loss_class)];
  const auto& segments = SegmentsOf(loss_class);
  const auto at = [&](uint64_t number) {
    return std::ranges::find(segments, number, [](const Segment& s) { return s.header.number; });
  };
  auto segment = cursor.reader ? at(cursor.number) : segments.end();
  if (segment == segments.end() || after_seq < cursor.after_seq) {
    cursor = {};
    segment =
        std::ranges::find_if(segments, [&](const Segment& s) { return s.last_seq > after_seq; });
    cursor.after_seq = after_seq;
  }
  while (segment != segments.end()) {
    if (cursor.next && cursor.next->seq > after_seq) return &*cursor.next;
    if (cursor.next) cursor.after_seq = cursor.next->seq;
    cursor.next.reset();
    if (!cursor.reader) {
      auto reader = SegmentReader::Open(fs_, PathOf(segment->header));
      if (!reader) return Fail(reader.error());
      cursor.reader = std::move(*reader);
      cursor.number = segment->header.number;
    }
    if (cursor.reader->offset() < segment->bytes) {
      auto frame = cursor.reader->Next();
      if (!frame) return Fail(frame.error());
      if (*frame) {
        if ((*frame)->seq != 0) cursor.next = std::move(*frame);
        continue;
      }
      // Damaged since it was recovered; the numbers go missing and the platform will say so.
    }
    if (!segment->sealed) return nullptr;  // more may come
    if (++segment == segments.end()) return nullptr;
    cursor.reader.reset();
  }
  return nullptr;
}

Status RecordStore::Read(uint64_t after_seq, size_t max_records, size_t max_bytes,
                         std::vector<StoredRecord>* out) {
  const uint64_t durable_seq = stats().durable_seq;
  after_seq = std::max<uint64_t>(after_seq, acked_.seq);
  size_t bytes = 0;
  while (out->size() < max_records && bytes < max_bytes) {
    const Frame* first = nullptr;
    const SegmentHeader* header = nullptr;
    for (size_t i = 0; i < kLossClasses; ++i) {
      auto frame = Peek(static_cast<LossClass>(i), after_seq);
      if (!frame) return Fail(frame.error());
      if (*frame != nullptr && (first == nullptr || (*frame)->seq < first->seq)) {
        first = *frame;
        header = &cursors_[i].reader->header();
      }
    }
    if (first == nullptr || first->seq > durable_seq) return {};
    after_seq = first->seq;
    bytes += first->payload.size() + kFrameHeaderBytes;
    out->push_back({{header->boot, first->seq}, first->kind, first->payload});
  }
  return {};
}

}  // namespace edgeloop::gateway
