#include "core/dsp/envelope.h"

#include <cstddef>

#include "core/base/math.h"

namespace edgeloop::dsp {

void EnvelopeInPlace(const RealFft& fft, BinRange band, std::span<float> x,
                     std::span<float> scratch_a, std::span<float> scratch_b) {
  const std::size_t n = fft.size();
  const std::size_t bins = n / 2 + 1;
  const std::span<float> re = scratch_a.first(bins), im = scratch_a.subspan(bins, bins);
  const std::span<float> hilbert_re = scratch_b.first(bins);
  const std::span<float> hilbert_im = scratch_b.subspan(bins, bins);
  fft.Forward(x, re, im);
  for (std::size_t k = 0; k < bins; ++k) {
    if (k < band.first || k >= band.end) re[k] = im[k] = 0;
    // The Hilbert transform turns every bin by -90 degrees.
    hilbert_re[k] = im[k];
    hilbert_im[k] = -re[k];
  }
  fft.Inverse(re, im, x);
  const std::span<float> hilbert = scratch_a.first(n);
  fft.Inverse(hilbert_re, hilbert_im, hilbert);
  for (std::size_t i = 0; i < n; ++i) x[i] = core::Sqrt(x[i] * x[i] + hilbert[i] * hilbert[i]);
}

}  // namespace edgeloop::dsp
