// What follows a dense layer.
#pragma once

#include <cstdint>

namespace edgeloop::nn {

enum class Activation : std::uint8_t { kNone = 0, kRelu = 1, kSigmoid = 2 };

}  // namespace edgeloop::nn
