// Fourier transform of real signals.
#pragma once

#include <cstddef>
#include <span>

namespace edgeloop::dsp {

inline constexpr std::size_t kMinFft = 16;
inline constexpr std::size_t kMaxFft = 8192;

constexpr bool IsFftSize(std::size_t n) {
  return n >= kMinFft && n <= kMaxFft && (n & (n - 1)) == 0;
}

// X[k] = sum over n of x[n] e^(-2 pi i k n / N), k = 0..N/2, for real x of N samples, by a complex
// transform of N/2 points in radix-4 passes (decimation in time) on separate real and imaginary
// arrays. Rounding error: below 1e-6 of the largest |X| for N up to 8192 (see fft_test.cc).
// Formulas: Oppenheim and Schafer, "Discrete-Time Signal Processing", 3rd ed., sections 9.2 (FFT)
// and problem 8.56 / Press et al., "Numerical Recipes", 3rd ed., section 12.3.2 (two-for-one).
class RealFft {
 public:
  // Floats of twiddle factors for transforms of n points; the caller provides them.
  static constexpr std::size_t TableFloats(std::size_t n) { return n; }

  // n: IsFftSize(n). Fills `tables` (TableFloats(n)), which must outlive the transform.
  RealFft(std::size_t n, std::span<float> tables);

  std::size_t size() const { return 2 * half_; }

  // x: N samples; re, im: N/2 + 1 bins, same unit as x. The arrays must not overlap.
  void Forward(std::span<const float> x, std::span<float> re, std::span<float> im) const;

  // The exact inverse, with the factor 1/N. re, im: N/2 + 1 bins, destroyed (imaginary parts of
  // bins 0 and N/2 are taken as zero); x: N samples, not overlapping them.
  void Inverse(std::span<float> re, std::span<float> im, std::span<float> x) const;

 private:
  void Complex(float* re, float* im) const;  // in place, input in bit-reversed order

  std::size_t half_;  // complex points
  const float* tables_;
};

}  // namespace edgeloop::dsp
