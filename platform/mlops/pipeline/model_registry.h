// Where published models go. An interface, because it is the network: tests put it in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "contracts/error/error.h"
#include "platform/mlops/rollout/rollout.h"
#include "runtime/http/client.h"

namespace edgeloop::mlops {

class ModelRegistry {
 public:
  // Both may be repeated with the same arguments.
  virtual Status Publish(const SignedModel& model, std::span<const std::uint8_t> elm,
                         const std::string& metadata_json) = 0;
  virtual Status SetAlias(const std::string& name, const std::string& alias,
                          std::uint32_t version) = 0;
  // The highest version there is of this name; 0 when there is none.
  virtual Expected<std::uint32_t> LatestVersion(const std::string& name) = 0;

 protected:
  ~ModelRegistry() = default;
};

// edgeloop-registry over mutual TLS.
class HttpModelRegistry final : public ModelRegistry {
 public:
  static Expected<std::unique_ptr<HttpModelRegistry>> Create(http::Client::Options options);
  Status Publish(const SignedModel& model, std::span<const std::uint8_t> elm,
                 const std::string& metadata_json) override;
  Status SetAlias(const std::string& name, const std::string& alias,
                  std::uint32_t version) override;
  Expected<std::uint32_t> LatestVersion(const std::string& name) override;

 private:
  explicit HttpModelRegistry(std::unique_ptr<http::Client> client) : client_(std::move(client)) {}
  std::mutex mutex_;  // an http::Client serves one thread at a time
  std::unique_ptr<http::Client> client_;
};

}  // namespace edgeloop::mlops
