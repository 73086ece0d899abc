// A record batch from a producer: as it is, and with its length and CRC made right so that the
// records are reached.
#include <cstdlib>

#include "platform/services/stream/log/bytes.h"
#include "platform/services/stream/log/crc32c.h"
#include "platform/services/stream/log/record_batch.h"

namespace {

using namespace edgeloop::stream;

void Check(std::span<const uint8_t> bytes) {
  const auto header = CheckProducedBatch(bytes);
  if (!header || header->compression() != 0) return;
  const auto filtered =
      FilterBatch(bytes, *header, [&](const Record& record) { return record.offset % 2 == 0; });
  if (!filtered) std::abort();  // it was well-formed
  if (filtered->empty()) return;
  const auto after = ParseBatchHeader(*filtered);
  if (!after || !BatchCrcMatches(*filtered) || CommitDistance(*after) != 0u) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  Check(bytes);
  if (size < kBatchHeaderBytes) return 0;
  StoreBe(bytes.data() + 8, static_cast<int32_t>(size - kBatchPrefixBytes));
  bytes[16] = 2;
  StoreBe(bytes.data() + 17, Crc32c(std::span(bytes).subspan(kBatchCrcStartBytes)));
  Check(bytes);
  return 0;
}
