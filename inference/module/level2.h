// Level-2 inference: from what a device has reported over the last minutes and what is known about
// the machine, how likely it has a fault, and why.
#pragma once

#include "contracts/error/error.h"

namespace edgeloop::v1 {
class Inference;
class ModuleRequest;
}  // namespace edgeloop::v1

namespace edgeloop::module {

inline constexpr int kMaxHistory = 4'096;
inline constexpr int kMaxFeatures = 512;

// The evidence, its weights and the score are described in README.md.
Expected<v1::Inference> Infer(const v1::ModuleRequest& request);

}  // namespace edgeloop::module
