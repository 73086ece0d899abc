#include "platform/services/stream/log/partition_log.h"

#include <algorithm>
#include <utility>

namespace edgeloop::stream {
namespace {

constexpr size_t kLookupChunkBytes = 64 * 1024;
// Beyond this much unsynced data the log syncs by itself: the commit mark holds 24 bits.
constexpr uint64_t kMaxUnsyncedBytes = 8ull << 20;
// Within one group commit; a batch older than so many failures counts as failed.
constexpr size_t kRememberedRollbacks = 16;

}  // namespace

AppendResult PartitionLog::Append(std::span<uint8_t> batch, const BatchHeader& header) {
  const SequenceCheck check = producers_.Check(header);
  switch (check.verdict) {
    case SequenceVerdict::kDuplicate:
      return {AppendCode::kDuplicate, check.original_offset, {}, generation_};
    case SequenceVerdict::kOutOfOrder:
      return {AppendCode::kOutOfOrderSequence, -1, {}};
    case SequenceVerdict::kStaleEpoch:
      return {AppendCode::kStaleProducerEpoch, -1, {}};
    case SequenceVerdict::kAccept:
      break;
  }
  const auto refuse = [&](const Error& error) -> AppendResult {
    producers_.Refused(header);
    return {AppendCode::kStorageError, -1, error.ToString()};
  };
  const int64_t relative_end =
      log_end_offset_ + header.last_offset_delta + 1 - segments_.back().base_offset;
  if (write_end_ > 0 &&
      (write_end_ + batch.size() > options_.segment_bytes || relative_end > INT32_MAX)) {
    if (auto status = Roll(); !status) return refuse(status.error());
  } else if (write_end_ - active_durable_ > kMaxUnsyncedBytes) {
    if (auto status = Sync(); !status) return refuse(status.error());
  }
  if (dirty_tail_) {
    if (auto status = active_file_->Truncate(write_end_); !status) return refuse(status.error());
    dirty_tail_ = false;
  }
  StampBatch(batch, log_end_offset_, static_cast<uint32_t>(write_end_ - active_durable_));
  if (auto status = active_file_->WriteAt(write_end_, batch); !status) {
    dirty_tail_ = !active_file_->Truncate(write_end_).has_value();
    return refuse(status.error());
  }
  BatchHeader stored = header;
  stored.base_offset = log_end_offset_;
  write_end_ += batch.size();
  log_end_offset_ = stored.next_offset();
  producers_.Apply(stored);
  pending_.push_back(stored);
  return {AppendCode::kOk, stored.base_offset, {}, generation_};
}

Status PartitionLog::Sync() {
  if (!unsynced()) return {};
  if (auto status = active_file_->Sync(); !status) {
    RollBack();
    return status;
  }
  active_durable_ = write_end_;
  producers_.Commit();
  std::lock_guard lock(mutex_);
  for (const BatchHeader& header : pending_) segments_.back().Note(header);
  pending_.clear();
  return {};
}

void PartitionLog::RollBack() {
  ++generation_;
  pending_.clear();
  producers_.Rollback();
  write_end_ = active_durable_;
  log_end_offset_ = segments_.back().next_offset;
  dirty_tail_ = !active_file_->Truncate(write_end_).has_value();
  taken_back_to_.push_back(log_end_offset_);
  if (taken_back_to_.size() > kRememberedRollbacks) taken_back_to_.pop_front();
}

bool PartitionLog::IsDurable(const AppendResult& result) const {
  const uint64_t rollbacks_since = generation_ - result.generation;
  if (rollbacks_since > taken_back_to_.size()) return false;
  // The log's end only grows: the first time that something was taken back decides.
  const int64_t end = rollbacks_since == 0
                          ? segments_.back().next_offset
                          : taken_back_to_[taken_back_to_.size() - rollbacks_since];
  return result.base_offset < end;
}

Status PartitionLog::Close() {
  if (auto status = Sync(); !status) return status;
  const Segment& active = segments_.back();
  return fs::WriteFileAtomically(fs_, SegmentPath(dir_, active.base_offset, kIndexSuffix),
                                 active.EncodeIndex());
}

Status PartitionLog::Roll() {
  if (auto status = Sync(); !status) return status;
  const Segment& sealed = segments_.back();
  const int64_t base = sealed.next_offset;
  if (auto status = fs::WriteFileAtomically(fs_, SegmentPath(dir_, base, kProducersSuffix),
                                            producers_.Encode(base));
      !status) {
    return status;
  }
  if (auto status = fs::WriteFileAtomically(
          fs_, SegmentPath(dir_, sealed.base_offset, kIndexSuffix), sealed.EncodeIndex());
      !status) {
    return status;
  }
  auto file = fs_.Open(SegmentPath(dir_, base, kLogSuffix), fs::OpenMode::kCreate);
  if (!file) return Fail(file.error());
  if (auto status = fs_.SyncDir(dir_); !status) return status;
  active_file_ = std::move(*file);
  active_durable_ = write_end_ = 0;
  // An earlier attempt may have failed between the creation and the sync of the directory.
  dirty_tail_ = true;
  std::lock_guard lock(mutex_);
  segments_.emplace_back(base);
  return {};
}

Status PartitionLog::DeleteOldest() {
  const int64_t base = segments_.front().base_offset;
  {
    std::lock_guard lock(mutex_);
    segments_.erase(segments_.begin());
  }
  for (const char* suffix : {kLogSuffix, kIndexSuffix, kProducersSuffix}) {
    const Status status = fs_.Remove(SegmentPath(dir_, base, suffix));
    if (!status && status.error().code() != ErrorCode::kNotFound) return status;
  }
  return fs_.SyncDir(dir_);
}

Status PartitionLog::ApplyRetention(int64_t now_ms) {
  constexpr int64_t kProducerExpiryMs = 24ll * 3600 * 1000;
  producers_.Expire(now_ms - kProducerExpiryMs);
  if (!options_.remove_old) return {};
  const auto expired = [&](const Segment& segment) {
    return options_.retention_ms >= 0 && segment.size > 0 &&
           segment.max_timestamp_ms < now_ms - options_.retention_ms;
  };
  // An active segment that is wholly expired is sealed, to go with the others.
  if (!unsynced() && expired(segments_.back())) {
    if (auto status = Roll(); !status) return status;
  }
  while (segments_.size() > 1) {
    const bool too_large =
        options_.retention_bytes >= 0 &&
        size_bytes() - segments_.front().size >= static_cast<uint64_t>(options_.retention_bytes);
    if (!too_large && !expired(segments_.front())) break;
    if (auto status = DeleteOldest(); !status) return status;
  }
  return {};
}

OffsetRange PartitionLog::offsets() const {
  std::lock_guard lock(mutex_);
  return {segments_.front().base_offset, segments_.back().next_offset};
}

uint64_t PartitionLog::size_bytes() const {
  std::lock_guard lock(mutex_);
  uint64_t total = 0;
  for (const Segment& segment : segments_) total += segment.size;
  return total;
}

std::vector<Segment>::const_iterator PartitionLog::FindSegment(int64_t offset) const {
  auto after = std::ranges::upper_bound(segments_, offset, {}, &Segment::base_offset);
  auto found = after == segments_.begin() ? after : std::prev(after);
  while (found != segments_.end() && (found->next_offset <= offset || found->size == 0)) ++found;
  return found;
}

Expected<std::unique_ptr<fs::File>> PartitionLog::OpenSegment(const Segment& segment) const {
  return fs_.Open(SegmentPath(dir_, segment.base_offset, kLogSuffix), fs::OpenMode::kRead);
}

Status PartitionLog::Read(int64_t offset, size_t max_bytes, bool at_least_one,
                          std::vector<uint8_t>* out) const {
  std::lock_guard lock(mutex_);
  if (offset < segments_.front().base_offset || offset > segments_.back().next_offset) {
    return Fail(ErrorCode::kInvalidArgument,
                "offset " + std::to_string(offset) + " is outside of " +
                    std::to_string(segments_.front().base_offset) + ".." +
                    std::to_string(segments_.back().next_offset));
  }
  for (auto segment = FindSegment(offset); segment != segments_.end(); ++segment) {
    auto found = ReadSegment(*segment, offset, max_bytes, at_least_one, out);
    if (!found) return Fail(found.error());
    if (*found) break;
  }
  return {};
}

Expected<bool> PartitionLog::ReadSegment(const Segment& segment, int64_t offset, size_t max_bytes,
                                         bool at_least_one, std::vector<uint8_t>* out) const {
  auto file = OpenSegment(segment);
  if (!file) return Fail(file.error());
  const auto damaged = [&](uint64_t position) {
    return Fail(ErrorCode::kCorrupt, SegmentPath(dir_, segment.base_offset, kLogSuffix) +
                                         ": damaged at byte " + std::to_string(position));
  };

  uint64_t position = hint_segment_ == segment.base_offset && hint_offset_ == offset
                          ? hint_position_
                          : segment.FloorOffset(offset);
  std::vector<uint8_t> chunk;
  uint64_t chunk_begin = 0;
  const size_t out_begin = out->size();
  uint64_t first = 0;
  // Walk headers up to the batch that holds the offset.
  for (;;) {
    if (position >= segment.size) return false;
    if (chunk.empty() || position < chunk_begin ||
        position + kBatchHeaderBytes > chunk_begin + chunk.size()) {
      chunk.resize(std::min<uint64_t>(kLookupChunkBytes, segment.size - position));
      auto read = (*file)->ReadAt(position, chunk);
      if (!read) return Fail(read.error());
      chunk.resize(*read);
      chunk_begin = position;
    }
    const auto header = ParseBatchHeader(std::span(chunk).subspan(position - chunk_begin));
    if (!header || header->size > segment.size - position) return damaged(position);
    if (header->next_offset() > offset) {
      if (header->size > max_bytes) {
        if (!at_least_one) return true;
        max_bytes = header->size;
      }
      first = position;
      break;
    }
    position += header->size;
  }
  // One read of all that fits; cut to whole batches.
  const uint64_t want = std::min<uint64_t>(max_bytes, segment.size - first);
  out->resize(out_begin + want);
  const std::span<uint8_t> bytes = std::span(*out).subspan(out_begin);
  size_t have = 0;
  if (first >= chunk_begin && first + want <= chunk_begin + chunk.size()) {
    std::copy_n(chunk.begin() + static_cast<ptrdiff_t>(first - chunk_begin), want, bytes.begin());
    have = want;
  } else {
    auto read = (*file)->ReadAt(first, bytes);
    if (!read) {
      out->resize(out_begin);
      return Fail(read.error());
    }
    have = *read;
  }
  size_t whole = 0;
  int64_t next_offset = offset;
  while (have - whole >= kBatchHeaderBytes) {
    const auto header = ParseBatchHeader(bytes.subspan(whole, have - whole));
    if (header && header->size > have - whole) break;
    if (!header || !CommitDistance(*header) ||
        !BatchCrcMatches(bytes.subspan(whole, header->size))) {
      if (whole > 0) break;  // what is good first; the next read reports it
      out->resize(out_begin);
      return damaged(first);
    }
    ClearCommitMark(bytes.subspan(whole, header->size));
    next_offset = header->next_offset();
    whole += header->size;
  }
  out->resize(out_begin + whole);
  hint_offset_ = next_offset;
  hint_segment_ = segment.base_offset;
  hint_position_ = static_cast<uint32_t>(first + whole);
  return true;
}

Expected<std::optional<TimestampedOffset>> PartitionLog::FindTimestamp(int64_t timestamp_ms) const {
  std::lock_guard lock(mutex_);
  for (const Segment& segment : segments_) {
    if (segment.size == 0 || segment.max_timestamp_ms < timestamp_ms) continue;
    auto file = OpenSegment(segment);
    if (!file) return Fail(file.error());
    std::vector<uint8_t> bytes;
    for (uint64_t position = segment.FloorTimestamp(timestamp_ms); position < segment.size;) {
      bytes.resize(kBatchHeaderBytes);
      auto read = (*file)->ReadAt(position, bytes);
      if (!read) return Fail(read.error());
      const auto header = ParseBatchHeader(std::span(bytes).first(*read));
      if (!header || header->size > segment.size - position) break;
      if (header->max_timestamp_ms < timestamp_ms) {
        position += header->size;
        continue;
      }
      TimestampedOffset found{header->base_offset, header->base_timestamp_ms};
      if (header->compression() != 0) return found;
      bytes.resize(header->size);
      read = (*file)->ReadAt(position, bytes);
      if (!read) return Fail(read.error());
      if (*read != header->size) break;
      auto walked = ForEachRecord(bytes, *header, [&](const Record& record) {
        found = {record.offset, record.timestamp_ms};
        return record.timestamp_ms < timestamp_ms;
      });
      if (!walked) return Fail(walked.error());
      return found;
    }
  }
  return std::optional<TimestampedOffset>{};
}

}  // namespace edgeloop::stream
