// The disk side of the record store: writing, rolling, dropping and removing segments.
#include <algorithm>
#include <utility>

#include "things/gateway/store/record_store.h"

namespace edgeloop::gateway {
namespace {

// A file takes at least a block: an empty one is not free.
constexpr uint64_t kMinFileBytes = 4'096;
constexpr LossClass kDropOrder[] = {LossClass::kRaw, LossClass::kFeatures, LossClass::kMain};

}  // namespace

std::string RecordStore::PathOf(const SegmentHeader& header) const {
  return options_.dir + "/" + SegmentName(header.number, header.loss_class);
}

uint64_t RecordStore::DiskBytes() const {
  uint64_t bytes = 0;
  for (const auto& segments : segments_) {
    for (const Segment& segment : segments) bytes += std::max(segment.bytes, kMinFileBytes);
  }
  return bytes;
}

Status RecordStore::StartSegment(LossClass loss_class, uint64_t first_seq) {
  auto& file = active_[static_cast<size_t>(loss_class)];
  file.reset();
  auto& segments = SegmentsOf(loss_class);
  if (!segments.empty()) segments.back().sealed = true;

  const SegmentHeader header{loss_class, next_number_++, boot_, first_seq, acked_, reported_};
  auto created = fs_.Open(PathOf(header), fs::OpenMode::kCreate);
  if (!created) return Fail(created.error());
  names_changed_ = true;
  segments.push_back({header, first_seq - 1, kSegmentHeaderBytes, false});
  file = std::move(*created);
  return file->WriteAt(0, EncodeSegmentHeader(header));
}

Status RecordStore::SyncActive(LossClass loss_class, std::vector<uint8_t>* frames) {
  auto& file = active_[static_cast<size_t>(loss_class)];
  Segment& segment = SegmentsOf(loss_class).back();
  if (!frames->empty()) {
    if (Status status = file->WriteAt(segment.bytes, *frames); !status) return status;
    segment.bytes += frames->size();
    frames->clear();
  }
  return file->Sync();
}

Status RecordStore::WriteFrames(LossClass loss_class, const std::vector<Pending>& batch,
                                bool write_ack) {
  auto& file = active_[static_cast<size_t>(loss_class)];
  auto& segments = SegmentsOf(loss_class);
  std::vector<uint8_t> frames;
  bool touched = false;
  // Opens a segment that has room for `bytes` more.
  const auto prepare = [&](uint64_t bytes, uint64_t first_seq) -> Status {
    touched = true;
    if (file) {
      const uint64_t used = segments.back().bytes + frames.size();
      if (used == kSegmentHeaderBytes || used + bytes <= options_.segment_bytes) return {};
      if (Status status = SyncActive(loss_class, &frames); !status) return status;
    }
    return StartSegment(loss_class, first_seq);
  };
  for (const Pending& record : batch) {
    if (LossClassOf(record.kind) != loss_class) continue;
    const uint64_t bytes = kFrameHeaderBytes + record.payload.size();
    if (Status status = prepare(bytes, record.seq); !status) return status;
    EncodeRecordFrame(record.seq, record.kind, record.payload, &frames);
    segments.back().last_seq = record.seq;
  }
  if (write_ack && loss_class == LossClass::kMain) {
    const uint64_t next = batch.empty() ? stats().durable_seq + 1 : batch.back().seq + 1;
    if (Status status = prepare(2 * kFrameHeaderBytes, next); !status) return status;
    EncodeAckFrame(acked_, &frames);
  }
  return touched ? SyncActive(loss_class, &frames) : Status{};
}

Status RecordStore::WriteBatch(const std::vector<Pending>& batch, bool write_ack) {
  uint64_t bytes = kLossClasses * kMinFileBytes;  // new segments, an acknowledgement
  for (const Pending& record : batch) bytes += kFrameHeaderBytes + record.payload.size();
  while (DiskBytes() + bytes > options_.max_bytes) {
    auto dropped = DropOldest();
    if (!dropped) return Fail(dropped.error());
    if (!*dropped) break;
  }

  std::array<std::pair<size_t, Segment>, kLossClasses> before;
  for (size_t i = 0; i < kLossClasses; ++i) {
    before[i] = {segments_[i].size(), segments_[i].empty() ? Segment{} : segments_[i].back()};
  }
  Status status;
  for (size_t i = 0; i < kLossClasses && status; ++i) {
    status = WriteFrames(static_cast<LossClass>(i), batch, write_ack);
  }
  if (status && names_changed_) {
    status = fs_.SyncDir(options_.dir);
    if (status) names_changed_ = false;
  }
  if (!status) {
    for (size_t i = 0; i < kLossClasses; ++i) {
      RollBack(static_cast<LossClass>(i), before[i].first, before[i].second);
    }
  }
  return status;
}

// What a failed write or sync left behind is undefined: go back to what is durable and continue in
// a new segment. Should even that fail, recovery finds the same records in both and takes one.
void RecordStore::RollBack(LossClass loss_class, size_t count, const Segment& last) {
  auto& segments = SegmentsOf(loss_class);
  auto& file = active_[static_cast<size_t>(loss_class)];
  cursors_[static_cast<size_t>(loss_class)] = {};
  file.reset();
  while (segments.size() > count) {
    (void)fs_.Remove(PathOf(segments.back().header));
    names_changed_ = true;
    segments.pop_back();
  }
  if (segments.empty()) return;
  segments.back() = last;
  if (last.sealed) return;
  if (auto opened = fs_.Open(PathOf(last.header), fs::OpenMode::kReadWrite)) {
    (void)(*opened)->Truncate(last.bytes);
    (void)(*opened)->Sync();
  }
  segments.back().sealed = true;
}

Expected<bool> RecordStore::DropOldest() {
  for (const LossClass loss_class : kDropOrder) {
    // The newest main segment carries the boot number.
    const size_t keep = loss_class == LossClass::kMain ? 1 : 0;
    if (SegmentsOf(loss_class).size() <= keep) continue;
    if (Status status = DropSegment(loss_class); !status) return Fail(status.error());
    return true;
  }
  return false;
}

Status RecordStore::DropSegment(LossClass loss_class) {
  auto& segments = SegmentsOf(loss_class);
  const SegmentHeader header = segments.front().header;
  const std::string path = PathOf(header);
  Loss loss{.segment = header.number};
  LossCounts fresh;  // older losses are in the totals already
  auto reader = SegmentReader::Open(fs_, path);
  if (!reader) return Fail(reader.error());
  while (reader->offset() < segments.front().bytes) {
    auto frame = reader->Next();
    if (!frame) return Fail(frame.error());
    if (!*frame) break;
    if ((*frame)->seq <= acked_.seq) continue;
    loss.Cover((*frame)->seq);
    fresh.Add((*frame)->kind);
    if ((*frame)->kind != Kind::kLoss) continue;
    if (auto older = DecodeLoss((*frame)->payload)) loss.Cover(*older);
  }
  const auto forget = [&] {
    if (segments.size() == 1) active_[static_cast<size_t>(loss_class)].reset();
    segments.pop_front();
  };
  names_changed_ = true;
  if (fresh.total() == 0) {
    if (Status status = fs_.Remove(path); !status) return status;
    forget();
    return {};
  }
  loss.counts.Add(fresh);
  {
    std::lock_guard lock(mutex_);
    loss.totals = dropped_;
  }
  loss.totals.Add(fresh);
  // From here on the loss is on record, whatever happens: renaming needs no free space.
  const std::string tombstone = options_.dir + "/" + TombstoneName(loss);
  if (Status status = fs_.Rename(path, tombstone); !status) return status;
  forget();
  {
    std::lock_guard lock(mutex_);
    dropped_.Add(fresh);
  }
  ReportLoss(loss, tombstone);
  if (Status status = fs_.SyncDir(options_.dir); !status) return status;
  auto file = fs_.Open(tombstone, fs::OpenMode::kReadWrite);
  if (!file) return Fail(file.error());
  return (*file)->Truncate(0);
}

void RecordStore::ReportLoss(Loss loss, std::string tombstone) {
  loss.at_ns = options_.now_ns();
  std::lock_guard lock(mutex_);
  const uint64_t seq = next_seq_++;
  pending_bytes_ += kLossBytes + kFrameHeaderBytes;
  pending_.push_back({seq, Kind::kLoss, EncodeLoss(loss)});
  if (!tombstone.empty()) tombstones_.push_back({std::move(tombstone), seq});
}

Status RecordStore::RemoveTombstones() {
  const uint64_t durable_seq = stats().durable_seq;
  bool removed = false;
  while (!tombstones_.empty() && tombstones_.front().loss_seq <= durable_seq) {
    if (Status status = fs_.Remove(tombstones_.front().path);
        !status && status.error().code() != ErrorCode::kNotFound) {
      return status;
    }
    removed = true;
    tombstones_.erase(tombstones_.begin());
  }
  // Before its LOSS record may go: a tombstone that came back would report the loss again.
  return removed ? fs_.SyncDir(options_.dir) : Status{};
}

Status RecordStore::RemoveAcknowledged() {
  for (auto& segments : segments_) {
    const size_t keep = &segments == &SegmentsOf(LossClass::kMain) ? 1 : 0;
    while (segments.size() > keep && segments.front().sealed &&
           segments.front().last_seq <= acked_on_disk_.seq) {
      if (Status status = fs_.Remove(PathOf(segments.front().header));
          !status && status.error().code() != ErrorCode::kNotFound) {
        return status;
      }
      segments.pop_front();
    }
  }
  return {};
}

}  // namespace edgeloop::gateway
