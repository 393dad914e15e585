/* Arithmetic that the kernels share.
 *
 * Written for compilers to vectorize, without intrinsics: inner loops are short, over contiguous fp32 numbers, and "omp
 * simd" allows what C forbids by default, to add in another order. -ffast-math would allow more than wanted here: NaN
 * and infinite logits must give NaN.
 */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* exp(x) for x <= 0, to about 1 unit in the last place; 0 where the result would be subnormal, NaN for NaN.
 *
 * x = n ln 2 + r with an integer n and |r| <= ln 2 / 2, so exp(x) = 2^n exp(r). Adding 1.5 * 2^23 rounds a float to an
 * integer, which then is in the low bits of the sum. ln 2 is subtracted in two parts, the first with so few digits that
 * n times it is exact (Cody and Waite 1980). exp(r) is 1 + r + r^2 P(r), P of degree 4 with the smallest largest
 * relative error, 4e-9, found by the Remez exchange algorithm and rounded to fp32. */
static inline float power(float x)
{
    const float shift = 0x1.8p23f;
    float shifted = x * 0x1.715476p0f + shift; /* log2 e */
    float n = shifted - shift;
    float r = x - n * 0x1.62ep-1f;
    r -= n * 0x1.0bfbe8p-15f;
    float p = 0x1.6a23dp-10f;
    p = p * r + 0x1.123a2p-7f;
    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23; /* the float 2^n */
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -0x1.5d589ep6f ? 0.0f : p * scale; /* -126 ln 2: below, the bits above mean nothing */
}

#define LANES 64 /* independent maxima of ``largest`` */

/* The largest number; NaN are skipped. -INFINITY where n is 0. Lanes by hand: clang has no such "reduction". */
static inline float largest(const float *x, ptrdiff_t n)
{
    float lanes[LANES], most = -INFINITY;
    ptrdiff_t whole = n - n % LANES;
    for (int j = 0; j < LANES; j++)
        lanes[j] = -INFINITY;
    for (ptrdiff_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++)
            lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (int j = 0; j < LANES; j++)
        most = lanes[j] > most ? lanes[j] : most;
    for (ptrdiff_t i = whole; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}
