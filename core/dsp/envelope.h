// Amplitude demodulation: the slow shape that rides on a fast vibration, in which a damaged bearing
// shows how often something rolls over the damage.
#pragma once

#include <span>

#include "core/dsp/fft.h"
#include "core/dsp/spectrum.h"

namespace edgeloop::dsp {

// env[n] = |x_b[n] + i h[n]| (u), where x_b is x restricted to the bins `band` and h its Hilbert
// transform, both made in the frequency domain (circular over the N samples).
// Formula: S. L. Marple, "Computing the discrete-time analytic signal via FFT", IEEE Trans. Signal
// Processing 47(9), 1999.
// x: N samples, replaced by env. scratch_a, scratch_b: N + 2 floats each.
void EnvelopeInPlace(const RealFft& fft, BinRange band, std::span<float> x,
                     std::span<float> scratch_a, std::span<float> scratch_b);

}  // namespace edgeloop::dsp
