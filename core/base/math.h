// Elementary functions that give the same bits on every machine. libm does not: glibc chooses
// variants by CPU, newlib has its own. These use only IEEE 754 single-precision + - * / and bits.
#pragma once

namespace edgeloop::core {

// Natural logarithm of a positive, finite, normal x; within 2 ulp of the true value.
float Log(float x);

// e^x, within 2 ulp; x is clamped to [-87, 88], so the result is finite and normal.
float Exp(float x);

// 1 / (1 + e^-x), 0..1.
float Sigmoid(float x);

// Correctly rounded (IEEE 754 requires it); 0 for x <= 0.
float Sqrt(float x);

}  // namespace edgeloop::core
