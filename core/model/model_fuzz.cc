// Arbitrary bytes as a model file: first as they are, then with size and checksum made right, so
// that mutations get past them. What verifies must run on any samples without an error of memory or
// arithmetic. Start from the golden files:
//   model_fuzz corpus/ core/model/testdata/
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "core/base/crc32c.h"
#include "core/model/layout.h"
#include "core/model/model.h"

namespace edgeloop::model {
namespace {

struct alignas(16) Block {
  std::byte bytes[16];
};

void StoreU32(std::vector<std::uint8_t>& file, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) file[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Runs the model on samples made of the bytes themselves: any float, or small integers.
void Run(const std::vector<std::uint8_t>& file, bool raw_floats) {
  Model m;
  if (Model::Open(file, &m) != core::Code::kOk) return;
  std::vector<float> samples(std::size_t{m.window()} * m.channels());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::size_t at = i * 4 % (file.size() - 4);
    if (raw_floats) {
      std::memcpy(&samples[i], &file[at], 4);
    } else {
      samples[i] = static_cast<float>(static_cast<std::int8_t>(file[at] ^ (i >> 3)));
    }
  }
  std::vector<Block> workspace((m.workspace_bytes() + 15) / 16);
  const auto scratch = std::as_writable_bytes(std::span(workspace)).first(m.workspace_bytes());
  std::vector<float> features(m.feature_count());
  const core::Code made = m.Features(samples, scratch, features);
  if (made != core::Code::kOk && made != core::Code::kNotFinite) std::abort();
  float score = 0;
  const core::Code scored = m.Score(features, scratch, &score);
  if (made == core::Code::kOk && scored == core::Code::kOk && !(score >= 0 && score <= 1)) {
    std::abort();
  }
  char name[kMaxFeatureNameChars];
  for (std::size_t i = 0; i < features.size(); ++i) {
    if (m.FeatureName(i, name).empty()) std::abort();
  }
}

}  // namespace
}  // namespace edgeloop::model

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace model = edgeloop::model;
  namespace layout = edgeloop::model::layout;
  std::vector<std::uint8_t> file(data, data + size);
  const bool raw_floats = size % 2 == 1;
  model::Run(file, raw_floats);
  if (size < layout::kMinFileBytes) return 0;
  if (raw_floats)
    file.pop_back();  // files are multiples of 4: keep both kinds of samples reachable
  model::StoreU32(file, layout::kFileBytesAt, static_cast<std::uint32_t>(file.size()));
  const std::span<const std::uint8_t> all(file);
  model::StoreU32(file, file.size() - 4, edgeloop::core::Crc32c(all.first(file.size() - 4)));
  model::Run(file, raw_floats);
  return 0;
}
