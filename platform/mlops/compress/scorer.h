// An opened model with the workspace it scores in: core's own arithmetic on a feature row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "contracts/error/error.h"
#include "core/model/model.h"

namespace edgeloop::mlops {

class Scorer {
 public:
  // `elm` must outlive the scorer.
  static Expected<Scorer> Open(std::span<const std::uint8_t> elm);
  Expected<float> Score(std::span<const float> features);
  const model::Model& model() const { return model_; }

 private:
  struct alignas(16) Block {
    std::byte bytes[16];
  };
  Scorer() = default;
  model::Model model_;
  std::vector<Block> workspace_;
};

}  // namespace edgeloop::mlops
