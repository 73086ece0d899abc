// Any API, any version, any bytes after a good request header, against a broker in memory.
#include <cstdlib>

#include "platform/services/stream/api/api.h"
#include "platform/services/stream/core.h"
#include "runtime/fs/fault_file_system.h"

namespace {

using namespace edgeloop;
using namespace edgeloop::stream;

struct Bench {
  Bench() : fs(1) {
    loop = std::move(*EventLoop::Create());
    CoreOptions options{.data_dir = "/data", .auto_create_topics = true};
    options.limits.max_topics = 20;
    options.limits.max_partitions = 50;
    core = std::move(*Core::Create(
        *loop, fs, metrics, options, 1,
        [this](RequestSlot, std::vector<uint8_t> frame) {
          // The length that a frame begins with is that of what follows.
          if (!frame.empty() && LoadBe<int32_t>(frame.data()) + 4u != frame.size()) std::abort();
          ++answers;
        },
        [](bool, const std::string&) {}));
    core->CreateTopic("t", 2, {}, false, [](const Core::TopicResult&) {});
    Settle();
  }
  void Settle() {
    for (int i = 0; i < 3; ++i) {
      core->worker().RunPosted();
      loop->RunReady();
    }
  }

  fs::FaultFileSystem fs;
  metrics::Registry metrics;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<Core> core;
  int answers = 0;
  int uses = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<Bench> bench;
  if (size < 2) return 0;
  constexpr int kUsesOfOne = 500;
  if (!bench || ++bench->uses > kUsesOfOne) {
    bench.reset();
    bench = std::make_unique<Bench>();
  }
  const std::span<const Api> apis = Apis();
  const Api& api = apis[data[0] % apis.size()];
  std::vector<uint8_t> frame(10);
  StoreBe(frame.data(), api.key);
  const int versions = api.max_version - api.min_version + 1;
  const int16_t version = static_cast<int16_t>(api.min_version + data[1] % versions);
  StoreBe(frame.data() + 2, version);
  StoreBe<int32_t>(frame.data() + 4, 7);
  StoreBe<int16_t>(frame.data() + 8, -1);                 // no client id
  if (api.key == 18 && version >= 3) frame.push_back(0);  // no tagged fields
  frame.insert(frame.end(), data + 2, data + size);
  bench->core->Handle({1, 1}, {"127.0.0.1", "fuzz"}, std::move(frame));
  bench->Settle();
  return 0;
}
