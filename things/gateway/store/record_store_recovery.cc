// What the record store makes of the files it finds.
#include <algorithm>
#include <utility>

#include "things/gateway/store/record_store.h"

namespace edgeloop::gateway {

struct RecordStore::Found {
  // Numbers present or explained, as [first, last].
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  std::vector<uint64_t> reported_segments;  // that LOSS records speak of
  uint64_t last_seq = 0;
  LossCounts totals;

  void Saw(uint64_t seq) {
    if (!runs.empty() && runs.back().second + 1 == seq) {
      runs.back().second = seq;
    } else {
      runs.push_back({seq, seq});
    }
    last_seq = std::max(last_seq, seq);
  }
  void Saw(const Loss& loss) {
    runs.push_back({loss.first_seq, loss.last_seq});
    last_seq = std::max(last_seq, loss.last_seq);
    SawTotals(loss.totals);
  }
  // Totals only grow: the largest is the newest.
  void SawTotals(const LossCounts& other) {
    totals.raw = std::max(totals.raw, other.raw);
    totals.features = std::max(totals.features, other.features);
    totals.alarms = std::max(totals.alarms, other.alarms);
  }
};

Status RecordStore::Recover() {
  if (Status status = fs_.MakeDirs(options_.dir); !status) return status;
  auto entries = fs_.List(options_.dir);
  if (!entries) return Fail(entries.error());
  std::vector<std::pair<std::string, ParsedName>> names;
  for (const fs::DirEntry& entry : *entries) {
    if (entry.is_directory) continue;
    if (auto parsed = ParseName(entry.name)) names.push_back({entry.name, *parsed});
  }
  // Newest first: a segment ends where the next of its class begins.
  std::ranges::sort(names, std::greater<>(), [](const auto& n) { return n.second.number; });

  Found found;
  for (const auto& [name, parsed] : names) {
    next_number_ = std::max(next_number_, parsed.number + 1);
    if (parsed.tombstone) continue;
    if (Status status = RecoverSegment(parsed, &found); !status) return status;
  }
  dropped_ = reported_ = found.totals;
  acked_on_disk_ = acked_;
  acked_seq_ = acked_.seq;
  found.last_seq = std::max<uint64_t>(found.last_seq, acked_.seq);
  for (const auto& segments : segments_) {
    for (const Segment& segment : segments) {
      boot_ = std::max(boot_, segment.header.boot + 1);
      boot_starts_.push_back({segment.header.boot, segment.header.first_seq});
      found.last_seq = std::max(found.last_seq, segment.header.first_seq - 1);
    }
  }
  boot_ = std::max<uint64_t>(boot_, acked_.boot + 1);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (!name->second.tombstone) continue;
    if (Status status = RecoverTombstone(name->first, *name->second.tombstone, &found); !status) {
      return status;
    }
  }
  const uint64_t last_seq = found.last_seq;
  next_seq_ = last_seq + 1;
  durable_seq_ = last_seq;
  boot_starts_.push_back({boot_, next_seq_});
  std::ranges::sort(boot_starts_);

  // The boot number is durable before a record of this boot can be seen.
  const auto& main = SegmentsOf(LossClass::kMain);
  const auto start = [&]() -> Status {
    const size_t count = main.size();
    const Segment last = main.empty() ? Segment{} : main.back();
    std::vector<uint8_t> no_frames;
    Status status = StartSegment(LossClass::kMain, last_seq + 1);
    if (status) status = SyncActive(LossClass::kMain, &no_frames);
    if (status) status = fs_.SyncDir(options_.dir);
    if (!status) RollBack(LossClass::kMain, count, last);
    return status;
  };
  // Tombstones take numbers when they are reported: only now, above the first number of this boot.
  std::vector<Loss> unreported;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const auto& tombstone = name->second.tombstone;
    if (tombstone && std::ranges::find(found.reported_segments, tombstone->segment) ==
                         found.reported_segments.end()) {
      unreported.push_back(*tombstone);
    }
  }
  Status started = start();
  while (!started && started.error().code() == ErrorCode::kResourceExhausted) {
    auto dropped = DropOldest();
    if (!dropped || !*dropped) break;
    started = start();
  }
  if (!started) return started;
  while (DiskBytes() > options_.max_bytes) {
    auto dropped = DropOldest();
    if (!dropped) return Fail(dropped.error());
    if (!*dropped) break;
  }
  for (const Loss& loss : unreported) ReportLoss(loss, options_.dir + "/" + TombstoneName(loss));
  ExplainGaps(&found);
  if (Status status = RemoveAcknowledged(); !status) return status;
  disk_bytes_ = DiskBytes();
  Status flushed = Flush();
  // A full disk is no reason not to sense: what is pending waits in memory.
  if (!flushed && flushed.error().code() != ErrorCode::kResourceExhausted) return flushed;
  return {};
}

Status RecordStore::RecoverSegment(const ParsedName& name, Found* found) {
  const std::string path = options_.dir + "/" + SegmentName(name.number, name.loss_class);
  auto reader = SegmentReader::Open(fs_, path);
  if (!reader && reader.error().code() != ErrorCode::kCorrupt) return Fail(reader.error());
  if (!reader || reader->header().number != name.number ||
      reader->header().loss_class != name.loss_class) {
    // Never finished, or damaged beyond use; missing numbers are explained by ExplainGaps().
    return fs_.Remove(path);
  }
  const SegmentHeader& header = reader->header();
  auto& segments = SegmentsOf(name.loss_class);
  const uint64_t end_seq = segments.empty() ? UINT64_MAX : segments.front().header.first_seq;
  Segment segment{header, header.first_seq - 1, kSegmentHeaderBytes, true};
  acked_ = std::max(acked_, header.acked);
  found->SawTotals(header.dropped);
  for (;;) {
    auto frame = reader->Next();
    if (!frame) return Fail(frame.error());
    if (!*frame || (*frame)->seq >= end_seq) break;
    segment.bytes = reader->offset();
    if ((*frame)->seq == 0) {
      acked_ = std::max(acked_, (*frame)->acked);
      continue;
    }
    segment.last_seq = (*frame)->seq;
    found->Saw((*frame)->seq);
    if ((*frame)->kind != Kind::kLoss) continue;
    if (auto loss = DecodeLoss((*frame)->payload)) {
      found->Saw(*loss);
      found->reported_segments.push_back(loss->segment);
    }
  }
  // After a kill the bytes may be in the page cache only: durable before anyone sees them.
  auto file = fs_.Open(path, fs::OpenMode::kReadWrite);
  if (!file) return Fail(file.error());
  if (Status status = (*file)->Sync(); !status) return status;
  segments.push_front(segment);
  return {};
}

Status RecordStore::RecoverTombstone(const std::string& name, const Loss& loss, Found* found) {
  if (std::ranges::find(found->reported_segments, loss.segment) != found->reported_segments.end()) {
    return fs_.Remove(options_.dir + "/" + name);
  }
  found->Saw(loss);
  std::lock_guard lock(mutex_);
  dropped_ = found->totals;
  return {};
}

// Numbers that were given and are neither here, nor acknowledged, nor explained: unsynced records
// of a power failure, or a damaged segment.
void RecordStore::ExplainGaps(Found* found) {
  std::ranges::sort(found->runs);
  Loss loss;
  uint64_t next = acked_.seq + 1;
  const auto missing = [&](uint64_t first, uint64_t last) {
    loss.Cover(first);
    loss.Cover(last);
    loss.counts.alarms += last - first + 1;  // of unknown kind: count the worst
  };
  for (const auto& [first, last] : found->runs) {
    if (first > next) missing(next, first - 1);
    next = std::max(next, last + 1);
  }
  if (next <= found->last_seq) missing(next, found->last_seq);
  if (loss.last_seq == 0) return;
  {
    std::lock_guard lock(mutex_);
    dropped_.Add(loss.counts);
    loss.totals = dropped_;
  }
  ReportLoss(loss, "");
}

}  // namespace edgeloop::gateway
