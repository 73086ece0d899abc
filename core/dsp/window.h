// Tapering windows for spectra.
#pragma once

#include <cstdint>
#include <span>

namespace edgeloop::dsp {

enum class WindowKind : std::uint8_t { kRectangular = 0, kHann = 1, kHamming = 2 };

// Fills `out` (size N, a power of two 16..8192) with the periodic (DFT-even) window
//   rectangular w[n] = 1,  Hann w[n] = 0.5 - 0.5 cos(2 pi n / N),
//   Hamming w[n] = 0.54 - 0.46 cos(2 pi n / N)                       (dimensionless, 0..1).
// Formulas: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier
// transform", Proc. IEEE 66(1), 1978, eqs. 23a, 27b and 30b (alpha = 0.54).
void FillWindow(WindowKind kind, std::span<float> out);

}  // namespace edgeloop::dsp
