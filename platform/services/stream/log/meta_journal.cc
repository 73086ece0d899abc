#include "platform/services/stream/log/meta_journal.h"

#include <algorithm>
#include <optional>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"

namespace edgeloop::stream {
namespace {

constexpr uint64_t kFileMagic = 0x454C4D4A00000001;  // "ELMJ", version 1
constexpr size_t kFileHeaderBytes = 8;
// crc32c u32 | size of key u16 | flags u16 | size of value u32 | durable end u64
constexpr size_t kEntryHeaderBytes = 20;
constexpr uint16_t kFlagRemove = 1;
constexpr uint64_t kMaxJournalBytes = 256ull << 20;
// Rewritten when larger than this and mostly history.
constexpr uint64_t kRewriteAboveBytes = 1 << 20;
constexpr uint64_t kHistoryFactor = 4;

struct ParsedEntry {
  std::string_view key;
  std::string_view value;
  bool remove = false;
  uint64_t durable_end = 0;
  size_t size = 0;
};

std::optional<ParsedEntry> Parse(std::span<const uint8_t> bytes, uint64_t position) {
  if (bytes.size() < kEntryHeaderBytes) return std::nullopt;
  const auto key_size = LoadBe<uint16_t>(bytes.data() + 4);
  const auto flags = LoadBe<uint16_t>(bytes.data() + 6);
  const auto value_size = LoadBe<uint32_t>(bytes.data() + 8);
  const uint64_t size = kEntryHeaderBytes + uint64_t{key_size} + value_size;
  if (flags > kFlagRemove || size - kEntryHeaderBytes > MetaJournal::kMaxEntryBytes ||
      size > bytes.size() || Crc32c(bytes.subspan(4, size - 4)) != LoadBe<uint32_t>(bytes.data())) {
    return std::nullopt;
  }
  const auto durable_end = LoadBe<uint64_t>(bytes.data() + 12);
  if (durable_end > position) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kEntryHeaderBytes;
  return ParsedEntry{{text, key_size},
                     {text + key_size, value_size},
                     flags == kFlagRemove,
                     durable_end,
                     static_cast<size_t>(size)};
}

}  // namespace

Expected<std::unique_ptr<MetaJournal>> MetaJournal::Open(fs::FileSystem& fs, std::string path,
                                                         RecoveryReport* report) {
  std::unique_ptr<MetaJournal> journal(new MetaJournal(fs, std::move(path)));
  if (auto status = journal->Load(report); !status) return Fail(status.error());
  return journal;
}

Status MetaJournal::Load(RecoveryReport* report) {
  auto bytes = fs::ReadFile(fs_, path_, kMaxJournalBytes);
  if (!bytes) {
    if (bytes.error().code() != ErrorCode::kNotFound) return Fail(bytes.error());
    return Rewrite();
  }
  // The file is created whole by an atomic rename: a wrong header is damage, not a crash.
  if (bytes->size() < kFileHeaderBytes || LoadBe<uint64_t>(bytes->data()) != kFileMagic) {
    return Fail(ErrorCode::kCorrupt, path_ +
                                         ": not a metadata journal of version 1; restore it from "
                                         "a backup, or move it away to start with no topics");
  }
  uint64_t proven_durable = 0;
  std::vector<DamagedRange> damage;
  bool damaged = false;
  for (uint64_t at = kFileHeaderBytes; at < bytes->size();) {
    const auto entry = Parse(std::span(*bytes).subspan(at), at);
    if (!entry) {
      if (!damaged) damage.push_back({.begin = at, .end = bytes->size()});
      damaged = true;
      ++at;
      continue;
    }
    if (damaged) damage.back().end = at;
    damaged = false;
    proven_durable = std::max(proven_durable, entry->durable_end);
    at += entry->size;
  }
  uint64_t end = bytes->size();
  for (const DamagedRange& range : damage) {
    if (range.begin >= proven_durable) {
      end = range.begin;
      report->notes.push_back(path_ + ": cut " + std::to_string(bytes->size() - end) +
                              " bytes of a torn tail at byte " + std::to_string(end));
      break;
    }
    const std::string side = path_ + "-" + std::to_string(range.begin) + ".damaged";
    if (auto status = fs::WriteFileAtomically(
            fs_, side, std::span(*bytes).subspan(range.begin, range.end - range.begin));
        !status) {
      return status;
    }
    lost_entries_ = true;
    report->damage.push_back(path_ + ": bytes " + std::to_string(range.begin) + ".." +
                             std::to_string(range.end - 1) +
                             " are damaged: changes of topics or group offsets are lost; the bytes "
                             "are kept in " +
                             side);
  }
  for (uint64_t at = kFileHeaderBytes; at < end;) {
    const auto entry = Parse(std::span(*bytes).subspan(at), at);
    if (!entry) {
      ++at;
      continue;
    }
    Apply({entry->remove, std::string(entry->key), std::string(entry->value)});
    at += entry->size;
  }
  // Written anew: what was damaged or torn is gone, and what was not synced is durable now.
  return Rewrite();
}

void MetaJournal::Apply(const Change& change) {
  if (auto old = entries_.find(change.key); old != entries_.end()) {
    live_bytes_ -= kEntryHeaderBytes + old->first.size() + old->second.size();
    if (change.remove) entries_.erase(old);
  }
  if (change.remove) return;
  live_bytes_ += kEntryHeaderBytes + change.key.size() + change.value.size();
  entries_[change.key] = change.value;
}

void MetaJournal::Encode(const Change& change, uint64_t durable_end, std::vector<uint8_t>* out) {
  const size_t at = out->size();
  out->resize(at + kEntryHeaderBytes);
  uint8_t* to = out->data() + at;
  StoreBe(to + 4, static_cast<uint16_t>(change.key.size()));
  StoreBe(to + 6, change.remove ? kFlagRemove : uint16_t{0});
  StoreBe(to + 8, static_cast<uint32_t>(change.value.size()));
  StoreBe(to + 12, durable_end);
  out->insert(out->end(), change.key.begin(), change.key.end());
  out->insert(out->end(), change.value.begin(), change.value.end());
  const uint32_t crc = Crc32c(std::span(*out).subspan(at + 4));
  StoreBe(out->data() + at, crc);
}

Status MetaJournal::Rewrite() {
  std::vector<uint8_t> bytes(kFileHeaderBytes);
  StoreBe(bytes.data(), kFileMagic);
  for (const auto& [key, value] : entries_) Encode({false, key, value}, bytes.size(), &bytes);
  if (auto status = fs::WriteFileAtomically(fs_, path_, bytes); !status) return status;
  auto file = fs_.Open(path_, fs::OpenMode::kReadWrite);
  if (!file) return Fail(file.error());
  file_ = std::move(*file);
  durable_ = bytes.size();
  dirty_tail_ = false;
  return {};
}

void MetaJournal::Put(std::string key, std::string value) {
  staged_.push_back({false, std::move(key), std::move(value)});
}

void MetaJournal::Delete(const std::string& key) { staged_.push_back({true, key, {}}); }

Status MetaJournal::Sync() {
  if (staged_.empty()) return {};
  std::vector<uint8_t> bytes;
  for (const Change& change : staged_) Encode(change, durable_, &bytes);
  const std::vector<Change> changes = std::move(staged_);
  staged_.clear();
  if (dirty_tail_) {
    if (auto status = file_->Truncate(durable_); !status) return status;
    dirty_tail_ = false;
  }
  Status status = file_->WriteAt(durable_, bytes);
  if (status) status = file_->Sync();
  if (!status) {
    dirty_tail_ = !file_->Truncate(durable_).has_value();
    return status;
  }
  durable_ += bytes.size();
  for (const Change& change : changes) Apply(change);
  if (durable_ > kRewriteAboveBytes && durable_ > kHistoryFactor * live_bytes_) {
    // The changes are durable already; a rewrite that fails (full disk) is tried again later,
    // unless the new file took the place of the old one without being opened.
    if (auto rewritten = Rewrite(); !rewritten) {
      auto file = fs_.Open(path_, fs::OpenMode::kReadWrite);
      if (!file) return Fail(file.error());
      auto size = (*file)->Size();
      if (!size) return Fail(size.error());
      file_ = std::move(*file);
      durable_ = *size;
    }
  }
  return {};
}

}  // namespace edgeloop::stream
