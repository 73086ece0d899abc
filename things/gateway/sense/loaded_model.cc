#include "things/gateway/sense/loaded_model.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "runtime/signing/signing.h"

namespace edgeloop::gateway {

void LoadedModel::FreeDeleter::operator()(std::byte* memory) const { std::free(memory); }

Expected<std::unique_ptr<LoadedModel>> LoadedModel::Open(std::vector<uint8_t> bytes) {
  std::unique_ptr<LoadedModel> loaded(new LoadedModel);
  loaded->bytes_ = std::move(bytes);
  core::Code code = model::Model::Open(loaded->bytes_, &loaded->model_);
  if (code != core::Code::kOk) {
    return Fail(ErrorCode::kCorrupt, std::string("model does not verify: ") + core::CodeText(code));
  }
  const model::Model& model = loaded->model_;
  // Rounded up: aligned_alloc wants a multiple of the alignment.
  const size_t size = (node::Node::WorkspaceBytes(model) + 15) / 16 * 16;
  loaded->workspace_.reset(static_cast<std::byte*>(std::aligned_alloc(16, size)));
  if (!loaded->workspace_) {
    return Fail(ErrorCode::kResourceExhausted,
                "no memory for the " + std::to_string(size) + " bytes the model works in");
  }
  code = node::Node::Create(model, {loaded->workspace_.get(), size}, &loaded->node_);
  if (code != core::Code::kOk) {
    return Fail(ErrorCode::kInternal, std::string("model does not run: ") + core::CodeText(code));
  }
  loaded->digest_ = signing::Sha256Digest(loaded->bytes_);
  std::array<char, model::kMaxFeatureNameChars> name;
  for (size_t i = 0; i < model.feature_count(); ++i) {
    loaded->feature_names_.emplace_back(model.FeatureName(i, name));
  }
  return loaded;
}

}  // namespace edgeloop::gateway
