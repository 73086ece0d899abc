// What an operator may tell the platform, by its public streams: commands, labels, context.
#pragma once

#include <memory>
#include <string>

#include "cli/site/access.h"
#include "contracts/error/error.h"

namespace edgeloop::v1 {
class Command;
class Context;
class Label;
}  // namespace edgeloop::v1

namespace edgeloop::operate {

class Operator {
 public:
  static Expected<std::unique_ptr<Operator>> Create(const site::Access& access);
  ~Operator();

  // Each waits until the stream has it on disk. Fills in the time and who sent it.
  Status Send(v1::Command command);
  Status Submit(v1::Label label);
  Status Describe(v1::Context context);

 private:
  struct Impl;
  explicit Operator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// 128 random bits in hex.
std::string NewId();
uint64_t UnixNanoseconds();

}  // namespace edgeloop::operate
