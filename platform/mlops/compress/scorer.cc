#include "platform/mlops/compress/scorer.h"

namespace edgeloop::mlops {

Expected<Scorer> Scorer::Open(std::span<const std::uint8_t> elm) {
  Scorer scorer;
  const core::Code code = model::Model::Open(elm, &scorer.model_);
  if (code != core::Code::kOk) {
    return Fail(ErrorCode::kCorrupt, std::string("model file: ") + core::CodeText(code));
  }
  scorer.workspace_.resize((scorer.model_.workspace_bytes() + sizeof(Block) - 1) / sizeof(Block));
  return scorer;
}

Expected<float> Scorer::Score(std::span<const float> features) {
  float score = 0;
  const core::Code code =
      model_.Score(features, std::as_writable_bytes(std::span(workspace_)), &score);
  if (code != core::Code::kOk) {
    return Fail(ErrorCode::kInvalidArgument, std::string("score: ") + core::CodeText(code));
  }
  return score;
}

}  // namespace edgeloop::mlops
