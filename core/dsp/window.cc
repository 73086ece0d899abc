#include "core/dsp/window.h"

#include <cstddef>

#include "core/dsp/trig_table.h"

namespace edgeloop::dsp {

void FillWindow(WindowKind kind, std::span<float> out) {
  float offset = 1;
  float swing = 0;
  if (kind == WindowKind::kHann) {
    offset = 0.5F;
    swing = 0.5F;
  } else if (kind == WindowKind::kHamming) {
    offset = 0.54F;
    swing = 0.46F;
  }
  const std::size_t stride = kTurnSteps / out.size();
  for (std::size_t n = 0; n < out.size(); ++n) out[n] = offset - swing * CosTurn(n * stride);
}

}  // namespace edgeloop::dsp
