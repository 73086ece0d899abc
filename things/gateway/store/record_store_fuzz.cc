// Recovery from hostile files. Frames get valid checksums so that the fuzzer reaches past them;
// what is left of the input lies behind them as it is.
#include <algorithm>
#include <cstdlib>

#include "runtime/fs/fault_file_system.h"
#include "things/gateway/store/record_store.h"

namespace {

using namespace edgeloop;           // NOLINT
using namespace edgeloop::gateway;  // NOLINT

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint64_t Number() {  // mostly small
    const uint8_t first = Byte();
    if (first < 250) return first % 40;
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | Byte();
    return value;
  }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

void Require(bool condition) {
  if (!condition) std::abort();
}

void WriteWhole(fs::FileSystem& fs, const std::string& path, std::span<const uint8_t> bytes) {
  auto file = fs.Open(path, fs::OpenMode::kCreate);
  Require(file.has_value());
  Require((*file)->WriteAt(0, bytes).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  fs::FaultFileSystem fs(1);
  Require(fs.MakeDirs("s").has_value());
  for (int files = 0; files < 6 && !input.empty(); ++files) {
    SegmentHeader header;
    header.loss_class = static_cast<LossClass>(input.Byte() % kLossClasses);
    header.number = input.Number() + 1;
    header.boot = input.Number() % 1'000'000 + 1;
    header.first_seq = input.Number() % (1ull << 60) + 1;
    header.acked = {input.Number() % 1'000'000, input.Number() % (1ull << 60)};
    if (input.Byte() == 0) {
      const Loss loss{.first_seq = header.first_seq,
                      .last_seq = header.first_seq + input.Byte(),
                      .counts = {input.Number(), input.Number(), input.Number()},
                      .segment = header.number};
      WriteWhole(fs, "s/" + TombstoneName(loss), {});
      continue;
    }
    const auto encoded = EncodeSegmentHeader(header);
    std::vector<uint8_t> bytes(encoded.begin(), encoded.end());
    const int frames = input.Byte() % 12;
    for (int i = 0; i < frames; ++i) {
      const uint64_t seq = input.Number() % (1ull << 60);
      const uint8_t kind = input.Byte();
      if (kind % 6 == 5) {
        EncodeAckFrame({input.Number() % 1'000'000, seq}, &bytes);
      } else {
        std::string payload(kind % 6 == 4 ? kLossBytes : input.Byte(), '\0');
        for (char& c : payload) c = static_cast<char>(input.Byte());
        EncodeRecordFrame(seq, static_cast<Kind>(kind % 6 + 1), payload, &bytes);
      }
    }
    const int tail = input.Byte();
    for (int i = 0; i < tail && !input.empty(); ++i) bytes.push_back(input.Byte());
    WriteWhole(fs, "s/" + SegmentName(header.number, header.loss_class), bytes);
  }

  uint64_t last = 0;
  for (int boot = 0; boot < 2; ++boot) {
    auto store = RecordStore::Open(fs, {.dir = "s",
                                        .max_bytes = 64'000,
                                        .segment_bytes = 5'000,
                                        .max_pending_bytes = 20'000,
                                        .now_ns = [] { return uint64_t{1}; }});
    if (!store) return 0;
    const uint64_t seq = (*store)->Append(Kind::kEvent, "event");
    Require(seq > last);
    Require((*store)->Flush().has_value());
    std::vector<StoredRecord> records;
    Require((*store)->Read(0, 10'000, SIZE_MAX, &records).has_value());
    uint64_t before = 0;
    for (const StoredRecord& record : records) {
      Require(record.position.seq > before);
      before = record.position.seq;
    }
    Require(before == (*store)->stats().durable_seq);
    last = seq;
  }
  return 0;
}
