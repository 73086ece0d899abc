// The generator of golden.py, bit by bit.
#pragma once

#include <cstdint>

namespace edgeloop::mlops {

class Lcg {
 public:
  explicit Lcg(std::uint64_t seed) : state_(seed) {}
  double Uniform() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 11) / 9007199254740992.0;
  }

 private:
  std::uint64_t state_;
};

}  // namespace edgeloop::mlops
