#include "core/dsp/fft.h"

#include <algorithm>

#include "core/dsp/trig_table.h"

namespace edgeloop::dsp {
namespace {

// Calls visit(i, reversed(i)) for i = 0..n-1, n a power of two, counting the reversed index up from
// its top bit.
template <typename Visit>
void ForEachReversed(std::size_t n, Visit visit) {
  std::size_t reversed = 0;
  for (std::size_t i = 0; i < n; ++i) {
    visit(i, reversed);
    std::size_t bit = n >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
}

// Size of the sub-transforms that the first radix-4 pass with twiddles joins: 2 after a radix-2
// pass (n an odd power of two), 4 after a radix-4 pass without twiddles.
std::size_t FirstTwiddledPass(std::size_t n) {
  std::size_t m = 1;
  while (m * 4 <= n) m *= 4;
  return m == n ? 4 : 2;
}

void Radix2Pass(float* re, float* im, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 2) {
    const float ar = re[i], ai = im[i], br = re[i + 1], bi = im[i + 1];
    re[i] = ar + br;
    im[i] = ai + bi;
    re[i + 1] = ar - br;
    im[i + 1] = ai - bi;
  }
}

// In bit-reversed order the second quarter holds the samples 2 mod 4, the third those 1 mod 4.
void Radix4PassPlain(float* re, float* im, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 4) {
    const float sr = re[i] + re[i + 1], si = im[i] + im[i + 1];
    const float dr = re[i] - re[i + 1], di = im[i] - im[i + 1];
    const float tr = re[i + 2] + re[i + 3], ti = im[i + 2] + im[i + 3];
    const float er = re[i + 2] - re[i + 3], ei = im[i + 2] - im[i + 3];
    re[i] = sr + tr;
    im[i] = si + ti;
    re[i + 1] = dr + ei;
    im[i + 1] = di - er;
    re[i + 2] = sr - tr;
    im[i + 2] = si - ti;
    re[i + 3] = dr - ei;
    im[i + 3] = di + er;
  }
}

// Joins four sub-transforms of m points into one of 4m. w: six arrays of m, the real and imaginary
// parts of W^2j, W^j and W^3j with W = e^(-2 pi i / 4m).
void Radix4Pass(float* re, float* im, std::size_t n, std::size_t m, const float* w) {
  const float* __restrict w2r = w;
  const float* __restrict w2i = w + m;
  const float* __restrict w1r = w + 2 * m;
  const float* __restrict w1i = w + 3 * m;
  const float* __restrict w3r = w + 4 * m;
  const float* __restrict w3i = w + 5 * m;
  for (std::size_t base = 0; base < n; base += 4 * m) {
    float* __restrict r0 = re + base;
    float* __restrict i0 = im + base;
    float* __restrict r1 = r0 + m;
    float* __restrict i1 = i0 + m;
    float* __restrict r2 = r1 + m;
    float* __restrict i2 = i1 + m;
    float* __restrict r3 = r2 + m;
    float* __restrict i3 = i2 + m;
    for (std::size_t j = 0; j < m; ++j) {
      const float br = r1[j] * w2r[j] - i1[j] * w2i[j], bi = r1[j] * w2i[j] + i1[j] * w2r[j];
      const float cr = r2[j] * w1r[j] - i2[j] * w1i[j], ci = r2[j] * w1i[j] + i2[j] * w1r[j];
      const float dr = r3[j] * w3r[j] - i3[j] * w3i[j], di = r3[j] * w3i[j] + i3[j] * w3r[j];
      const float sr = r0[j] + br, si = i0[j] + bi;
      const float er = r0[j] - br, ei = i0[j] - bi;
      const float tr = cr + dr, ti = ci + di;
      const float fr = cr - dr, fi = ci - di;
      r0[j] = sr + tr;
      i0[j] = si + ti;
      r1[j] = er + fi;
      i1[j] = ei - fr;
      r2[j] = sr - tr;
      i2[j] = si - ti;
      r3[j] = er - fi;
      i3[j] = ei + fr;
    }
  }
}

}  // namespace

RealFft::RealFft(std::size_t n, std::span<float> tables) : half_(n / 2), tables_(tables.data()) {
  float* w = tables.data();
  for (std::size_t m = FirstTwiddledPass(half_); m < half_; m *= 4) {
    const std::size_t step = kTurnSteps / (4 * m);
    constexpr std::size_t kPowers[] = {2, 1, 3};
    for (const std::size_t power : kPowers) {
      for (std::size_t j = 0; j < m; ++j) w[j] = CosTurn(j * power * step);
      for (std::size_t j = 0; j < m; ++j) w[m + j] = -SinTurn(j * power * step);
      w += 2 * m;
    }
  }
}

void RealFft::Complex(float* re, float* im) const {
  std::size_t m = FirstTwiddledPass(half_);
  if (m == 2) {
    Radix2Pass(re, im, half_);
  } else {
    Radix4PassPlain(re, im, half_);
  }
  const float* w = tables_;
  for (; m < half_; m *= 4) {
    Radix4Pass(re, im, half_, m, w);
    w += 6 * m;
  }
}

void RealFft::Forward(std::span<const float> x, std::span<float> re, std::span<float> im) const {
  const std::size_t half = half_;
  ForEachReversed(half, [&](std::size_t i, std::size_t reversed) {
    re[i] = x[2 * reversed];
    im[i] = x[2 * reversed + 1];
  });
  Complex(re.data(), im.data());
  // Z[k] is the transform of even + i odd samples; separate them and join: X = E + W^k O.
  const std::size_t step = kTurnSteps / (2 * half);
  const float zr = re[0], zi = im[0];
  re[0] = zr + zi;
  im[0] = 0;
  re[half] = zr - zi;
  im[half] = 0;
  for (std::size_t k = 1; k <= half / 2; ++k) {
    const std::size_t m = half - k;
    const float er = 0.5F * (re[k] + re[m]), ei = 0.5F * (im[k] - im[m]);
    const float odd_r = 0.5F * (im[k] + im[m]), odd_i = 0.5F * (re[m] - re[k]);
    const float c = CosTurn(k * step), s = -SinTurn(k * step);
    const float tr = odd_r * c - odd_i * s, ti = odd_r * s + odd_i * c;
    re[k] = er + tr;
    im[k] = ei + ti;
    re[m] = er - tr;
    im[m] = ti - ei;
  }
}

void RealFft::Inverse(std::span<float> re, std::span<float> im, std::span<float> x) const {
  const std::size_t half = half_;
  const std::size_t step = kTurnSteps / (2 * half);
  const float first = re[0], last = re[half];
  re[0] = 0.5F * (first + last);
  im[0] = 0.5F * (first - last);
  for (std::size_t k = 1; k <= half / 2; ++k) {
    const std::size_t m = half - k;
    const float er = 0.5F * (re[k] + re[m]), ei = 0.5F * (im[k] - im[m]);
    const float tr = 0.5F * (re[k] - re[m]), ti = 0.5F * (im[k] + im[m]);
    const float c = CosTurn(k * step), s = SinTurn(k * step);
    const float odd_r = tr * c - ti * s, odd_i = tr * s + ti * c;
    re[k] = er - odd_i;
    im[k] = ei + odd_r;
    re[m] = er + odd_i;
    im[m] = odd_r - ei;
  }
  ForEachReversed(half, [&](std::size_t i, std::size_t reversed) {
    if (i < reversed) {
      std::swap(re[i], re[reversed]);
      std::swap(im[i], im[reversed]);
    }
  });
  Complex(im.data(), re.data());  // real and imaginary parts exchanged: the inverse, times half
  const float scale = 1.0F / static_cast<float>(half);
  for (std::size_t k = 0; k < half; ++k) {
    x[2 * k] = re[k] * scale;
    x[2 * k + 1] = im[k] * scale;
  }
}

}  // namespace edgeloop::dsp
