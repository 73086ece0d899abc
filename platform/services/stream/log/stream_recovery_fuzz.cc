// The files of a log and a metadata journal with any bytes in them: opening repairs or refuses, and
// what is open reads to its end and opens again without a word.
#include <cstdlib>

#include "platform/services/stream/log/meta_journal.h"
#include "platform/services/stream/log/partition_log.h"
#include "platform/services/stream/log/test_batch.h"
#include "runtime/fs/fault_file_system.h"

namespace {

using namespace edgeloop;
using namespace edgeloop::stream;

void Put(fs::FileSystem& fs, const std::string& path, std::span<const uint8_t> bytes) {
  if (!fs::WriteFileAtomically(fs, path, bytes)) std::abort();
}

void OpenLog(fs::FileSystem& fs) {
  for (const bool again : {false, true}) {
    RecoveryReport report;
    auto log = PartitionLog::Open(fs, "/log", {}, &report);
    if (!log) {
      if (again) std::abort();
      return;  // segments that overlap
    }
    if (again && !report.damage.empty()) std::abort();
    std::vector<uint8_t> bytes;
    for (int64_t offset = (*log)->offsets().start; offset < (*log)->offsets().end;) {
      bytes.clear();
      if (!(*log)->Read(offset, 1, true, &bytes)) std::abort();
      if (bytes.empty()) break;
      offset = ParseBatchHeader(bytes)->next_offset();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const std::span<const uint8_t> input(data + 3, size - 3);
  const size_t cut = std::min<size_t>(data[1] * 4u, input.size());
  fs::FaultFileSystem fs(1);
  if (!fs.MakeDirs("/log")) std::abort();
  // Good batches with the input laid over them.
  std::vector<uint8_t> segment;
  for (int i = 0; i < data[0] % 8; ++i) {
    auto batch = test::MakeBatch("value " + std::to_string(i));
    StampBatch(batch, i, data[2] % 2 == 0 ? 0 : static_cast<uint32_t>(segment.size()));
    segment.insert(segment.end(), batch.begin(), batch.end());
  }
  const size_t at = segment.empty() ? 0 : data[2] * 7u % segment.size();
  for (size_t i = 0; i < cut; ++i) {
    if (at + i < segment.size()) {
      segment[at + i] ^= input[i];
    } else {
      segment.push_back(input[i]);
    }
  }
  Put(fs, SegmentPath("/log", 0, kLogSuffix), segment);
  if ((data[0] & 0x40) != 0) Put(fs, SegmentPath("/log", 0, kProducersSuffix), input);
  if ((data[0] & 0x80) != 0) Put(fs, SegmentPath("/log", 50, kLogSuffix), input.subspan(cut));
  OpenLog(fs);
  std::vector<uint8_t> journal = {'E', 'L', 'M', 'J', 0, 0, 0, 1};
  journal.insert(journal.end(), input.begin(), input.end());
  Put(fs, "/log/journal", journal);
  for (const bool again : {false, true}) {
    RecoveryReport report;
    auto opened = MetaJournal::Open(fs, "/log/journal", &report);
    if (!opened || (again && !(report.damage.empty() && report.notes.empty()))) std::abort();
  }
  return 0;
}
