// Opening a log: what a crash or a bad disk left, made whole. The rules: docs/spec/stream-log.md.
#include <algorithm>
#include <set>

#include "platform/services/stream/log/partition_log.h"

namespace edgeloop::stream {
namespace {

constexpr char kDamagedSuffix[] = ".damaged";
constexpr char kCutSuffix[] = ".cut";
constexpr size_t kCopyBytes = 256 * 1024;

Status CopyRange(fs::FileSystem& fs, const fs::File& from, uint64_t begin, uint64_t end,
                 const std::string& path) {
  auto to = fs.Open(path, fs::OpenMode::kCreate);
  if (!to) return Fail(to.error());
  if (auto status = (*to)->Truncate(0); !status) return status;
  std::vector<uint8_t> bytes;
  for (uint64_t at = begin; at < end;) {
    bytes.resize(std::min<uint64_t>(kCopyBytes, end - at));
    auto read = from.ReadAt(at, bytes);
    if (!read) return Fail(read.error());
    if (*read == 0) break;
    if (auto status = (*to)->WriteAt(at - begin, std::span(bytes).first(*read)); !status) {
      return status;
    }
    at += *read;
  }
  if (auto status = (*to)->Sync(); !status) return status;
  return fs.SyncDir(fs::ParentDir(path));
}

std::string SidePath(const std::string& log_path, uint64_t position, const char* suffix) {
  return log_path.substr(0, log_path.size() - std::string(kLogSuffix).size()) + "-" +
         std::to_string(position) + suffix;
}

std::string OffsetsText(const DamagedRange& range) {
  if (!range.next_offset) return "offsets from " + std::to_string(range.first_offset);
  return "offsets " + std::to_string(range.first_offset) + ".." +
         std::to_string(*range.next_offset - 1);
}

}  // namespace

Expected<std::unique_ptr<PartitionLog>> PartitionLog::Open(fs::FileSystem& fs, std::string dir,
                                                           const LogOptions& options,
                                                           RecoveryReport* report) {
  std::unique_ptr<PartitionLog> log(new PartitionLog(fs, std::move(dir), options));
  if (auto status = log->Recover(report); !status) return Fail(status.error(), log->dir_);
  return log;
}

Status PartitionLog::Recover(RecoveryReport* report) {
  auto entries = fs_.List(dir_);
  if (!entries) return Fail(entries.error());
  std::set<int64_t> bases;
  for (const fs::DirEntry& entry : *entries) {
    if (const auto base = ParseSegmentName(entry.name, kLogSuffix)) bases.insert(*base);
  }
  for (const fs::DirEntry& entry : *entries) {
    auto base = ParseSegmentName(entry.name, kIndexSuffix);
    if (!base) base = ParseSegmentName(entry.name, kProducersSuffix);
    // Left by an interrupted roll, deletion or rewrite.
    if (entry.name.ends_with(".tmp") || (base && !bases.contains(*base))) {
      if (auto status = fs_.Remove(dir_ + "/" + entry.name); !status) return status;
    }
  }
  for (const int64_t base : bases) {
    Segment segment(base);
    const bool last = base == *bases.rbegin();
    auto index = fs::ReadFile(fs_, SegmentPath(dir_, base, kIndexSuffix), kMaxSegmentBytes);
    auto file = fs_.Open(SegmentPath(dir_, base, kLogSuffix), fs::OpenMode::kRead);
    if (!file) return Fail(file.error());
    auto size = (*file)->Size();
    if (!size) return Fail(size.error());
    const bool indexed = index && segment.DecodeIndex(*index).has_value();
    if (indexed && segment.size > *size) {
      report->damage.push_back(SegmentPath(dir_, base, kLogSuffix) + ": only " +
                               std::to_string(*size) + " of " + std::to_string(segment.size) +
                               " bytes are left");
    }
    if (last || !indexed || segment.size != *size) {
      // A sealed segment was durable before the next was begun; an index of the last one was
      // written by a clean stop, after its data.
      uint64_t known_durable = *size;
      if (last) known_durable = indexed ? segment.size : 0;
      if (auto status = LoadByScan(&segment, known_durable, report); !status) return status;
      if (!last && segment.size > 0) {
        if (auto status = fs::WriteFileAtomically(fs_, SegmentPath(dir_, base, kIndexSuffix),
                                                  segment.EncodeIndex());
            !status) {
          return status;
        }
      }
    }
    if (!segments_.empty() && segments_.back().next_offset > base) {
      if (segment.size > 0) {
        return Fail(ErrorCode::kCorrupt, "segments overlap: one ends at offset " +
                                             std::to_string(segments_.back().next_offset) +
                                             ", the next begins at " + std::to_string(base) +
                                             "; move one of the files away and start again");
      }
      // An interrupted roll created it, and the one before went on.
      if (auto status = fs_.Remove(SegmentPath(dir_, base, kLogSuffix)); !status) return status;
      if (last) {
        const Segment reopened(segments_.back().base_offset);
        segments_.back() = reopened;
        if (auto status = LoadByScan(&segments_.back(), 0, report); !status) return status;
      }
      continue;
    }
    segments_.push_back(std::move(segment));
  }
  if (segments_.empty()) segments_.emplace_back(0);

  const Segment& active = segments_.back();
  auto file = fs_.Open(SegmentPath(dir_, active.base_offset, kLogSuffix), fs::OpenMode::kCreate);
  if (!file) return Fail(file.error());
  if (auto status = fs_.SyncDir(dir_); !status) return status;
  active_file_ = std::move(*file);
  active_durable_ = write_end_ = active.size;
  log_end_offset_ = active.next_offset;
  return LoadProducers(report);
}

Status PartitionLog::LoadByScan(Segment* segment, uint64_t known_durable, RecoveryReport* report) {
  const std::string path = SegmentPath(dir_, segment->base_offset, kLogSuffix);
  // Twice at most: what was damaged is repaired, then read again.
  for (bool repaired = false;; repaired = true) {
    auto file = fs_.Open(path, fs::OpenMode::kReadWrite);
    if (!file) return Fail(file.error());
    auto size = (*file)->Size();
    if (!size) return Fail(size.error());
    *segment = Segment(segment->base_offset);
    auto scan = ScanSegment(**file, *size, segment->base_offset,
                            [&](uint64_t, const BatchHeader& header, std::span<const uint8_t>) {
                              segment->Note(header);
                            });
    if (!scan) return Fail(scan.error());
    if (scan->damage.empty()) {
      // What was written but not synced before a crash of this process alone is made durable now:
      // it will be shown to readers.
      return (*file)->Sync();
    }
    if (repaired) return Fail(ErrorCode::kInternal, path + ": still damaged after the repair");
    if (auto status = Repair(*segment, **file, *scan, known_durable, *size, report); !status) {
      return status;
    }
  }
}

Status PartitionLog::Repair(const Segment& segment, fs::File& file, const SegmentScan& scan,
                            uint64_t known_durable, uint64_t size, RecoveryReport* report) {
  const std::string path = SegmentPath(dir_, segment.base_offset, kLogSuffix);
  const uint64_t durable = std::max(known_durable, scan.proven_durable);
  // From the first damage that nothing proves to have been durable, the rest is a torn tail.
  const auto torn = std::ranges::find_if(
      scan.damage, [&](const DamagedRange& range) { return range.begin >= durable; });
  if (torn != scan.damage.end()) {
    std::string note = path + ": cut " + std::to_string(size - torn->begin) +
                       " bytes of a torn tail at byte " + std::to_string(torn->begin) + ", " +
                       "offsets from " + std::to_string(torn->first_offset);
    if (torn->next_offset) {
      // Whole batches follow the damage; nothing says that they were acknowledged, but keep them.
      const std::string side = SidePath(path, torn->begin, kCutSuffix);
      if (auto status = CopyRange(fs_, file, torn->begin, size, side); !status) return status;
      note += "; kept in " + side;
    }
    if (auto status = file.Truncate(torn->begin); !status) return status;
    if (auto status = file.Sync(); !status) return status;
    report->notes.push_back(std::move(note));
  }
  if (torn == scan.damage.begin()) return {};

  // Damage to acknowledged data: keep the bytes aside, rewrite the segment without them.
  for (auto range = scan.damage.begin(); range != torn; ++range) {
    const std::string side = SidePath(path, range->begin, kDamagedSuffix);
    if (auto status = CopyRange(fs_, file, range->begin, range->end, side); !status) return status;
    report->damage.push_back(path + ": bytes " + std::to_string(range->begin) + ".." +
                             std::to_string(range->end - 1) + " are damaged, " +
                             OffsetsText(*range) + " are lost; the bytes are kept in " + side);
  }
  const std::string temporary = path + ".tmp";
  auto rewritten = fs_.Open(temporary, fs::OpenMode::kCreate);
  if (!rewritten) return Fail(rewritten.error());
  if (auto status = (*rewritten)->Truncate(0); !status) return status;
  auto kept_size = file.Size();
  if (!kept_size) return Fail(kept_size.error());
  Status copied;
  uint64_t end = 0;
  std::vector<uint8_t> copy;
  auto second =
      ScanSegment(file, *kept_size, segment.base_offset,
                  [&](uint64_t, const BatchHeader& header, std::span<const uint8_t> batch) {
                    if (!copied) return;
                    copy.assign(batch.begin(), batch.end());
                    StampBatch(copy, header.base_offset, 0);
                    copied = (*rewritten)->WriteAt(end, copy);
                    end += copy.size();
                  });
  if (!second) return Fail(second.error());
  if (!copied) return copied;
  if (auto status = (*rewritten)->Sync(); !status) return status;
  if (auto status = fs_.Remove(SegmentPath(dir_, segment.base_offset, kIndexSuffix));
      !status && status.error().code() != ErrorCode::kNotFound) {
    return status;
  }
  if (auto status = fs_.Rename(temporary, path); !status) return status;
  return fs_.SyncDir(dir_);
}

Status PartitionLog::LoadProducers(RecoveryReport* report) {
  const auto replay = [&](const Segment& segment) -> Status {
    auto file = OpenSegment(segment);
    if (!file) return Fail(file.error());
    auto scan = ScanSegment(**file, segment.size, segment.base_offset,
                            [&](uint64_t, const BatchHeader& header, std::span<const uint8_t>) {
                              producers_.Apply(header);
                              producers_.Commit();
                            });
    return scan ? Status{} : Fail(scan.error());
  };
  constexpr uint64_t kMaxSnapshotBytes = 16 << 20;
  // From the newest snapshot that is whole, forward.
  size_t from = segments_.size();
  while (from > 0) {
    const int64_t base = segments_[--from].base_offset;
    auto bytes = fs::ReadFile(fs_, SegmentPath(dir_, base, kProducersSuffix), kMaxSnapshotBytes);
    if (bytes && producers_.Decode(*bytes, base)) break;
    producers_ = ProducerTable(options_.max_producers);
    if (base > 0 && from == 0) {
      report->notes.push_back(dir_ + ": no producer snapshot; producers from before offset " +
                              std::to_string(base) + " are forgotten");
    }
  }
  for (; from < segments_.size(); ++from) {
    if (auto status = replay(segments_[from]); !status) return status;
  }
  return {};
}

}  // namespace edgeloop::stream
