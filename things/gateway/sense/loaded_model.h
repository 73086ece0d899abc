// A model file in memory with what the hosted side needs to know about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "core/model/model.h"
#include "core/node/node.h"

namespace edgeloop::gateway {

class LoadedModel {
 public:
  // Verifies the bytes and takes them.
  static Expected<std::unique_ptr<LoadedModel>> Open(std::vector<uint8_t> bytes);

  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  const model::Model& model() const { return model_; }
  const std::string& digest() const { return digest_; }
  const std::vector<std::string>& feature_names() const { return feature_names_; }
  node::Node& node() { return node_; }

 private:
  LoadedModel() = default;

  struct FreeDeleter {
    void operator()(std::byte* memory) const;
  };
  std::vector<uint8_t> bytes_;
  std::string digest_;
  std::vector<std::string> feature_names_;
  model::Model model_;
  std::unique_ptr<std::byte, FreeDeleter> workspace_;
  node::Node node_;
};

}  // namespace edgeloop::gateway
