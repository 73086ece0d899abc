#include "cli/supervisor/back_off.h"

#include <algorithm>

namespace edgeloop::supervisor {

std::chrono::milliseconds BackOff::Died(std::chrono::milliseconds ran) {
  if (ran >= options_.stable) deaths_in_row_ = 0;
  if (deaths_in_row_ == 0) next_ = options_.first;
  ++deaths_in_row_;
  const auto wait = next_;
  next_ = std::min(next_ * 2, options_.most);
  return wait;
}

}  // namespace edgeloop::supervisor
