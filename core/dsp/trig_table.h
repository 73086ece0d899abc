// Sines and cosines of fractions of a turn, the same bits on every machine.
#pragma once

#include <cstddef>

namespace edgeloop::dsp {

// Finest division of a turn that the table knows; also the largest transform.
inline constexpr std::size_t kTurnSteps = 8192;

// cos(2 pi step / kTurnSteps) and sin(2 pi step / kTurnSteps), correctly rounded to within the
// error of a double-precision series (below 1e-15); any step, taken modulo one turn.
float CosTurn(std::size_t step);
float SinTurn(std::size_t step);

}  // namespace edgeloop::dsp
