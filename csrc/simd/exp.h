/* The exponential of a vector of numbers that are not positive, so that no result overflows:
 * softmax needs no others, nor does a sigmoid.
 *
 * exp(x) = 2^k exp(r) with r = x - k ln 2, where ln 2 is a sum of two parts (Cody & Waite 1980),
 * and |r| <= ln(2) / 2; exp(r) is a Taylor polynomial.  k is x / ln 2 rounded: adding 1.5 *
 * 2^MANTISSA_BITS rounds to an integer, which is then in the low bits of the sum. */
#ifndef FASTFC_SIMD_EXP_H
#define FASTFC_SIMD_EXP_H

#include "simd/vec.h"

#if FC_DOUBLE
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define EXP_LOWEST (-746.0) /* exp is 0 from here down */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_TERMS 13 /* 0.3466^14 / 14! = 4e-18 */
#else
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define EXP_LOWEST (-104.0f)
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)
#define EXP_TERMS 7 /* 0.3466^8 / 8! = 5e-9 */
#endif

/* exp(x) for x <= 0 or NaN, to 2 units in the last place, denormal results included. */
ALWAYS_INLINE vec vec_exp(vec x) {
    static const real inverse_factorial[] = {
        1,
        1,
        (real)(1.0 / 2),
        (real)(1.0 / 6),
        (real)(1.0 / 24),
        (real)(1.0 / 120),
        (real)(1.0 / 720),
        (real)(1.0 / 5040),
        (real)(1.0 / 40320),
        (real)(1.0 / 362880),
        (real)(1.0 / 3628800),
        (real)(1.0 / 39916800),
        (real)(1.0 / 479001600),
        (real)(1.0 / 6227020800),
    };
    const vec rounder = vec_set((real)1.5 * (real)((lane_int)1 << MANTISSA_BITS));
    const vec lowest = vec_set(EXP_LOWEST);
    x = vec_select(x < lowest, lowest, x);
    vec shifted = vec_fma(x, vec_set((real)1.4426950408889634074), rounder);
    vec k = shifted - rounder;
    vec r = vec_fma(k, vec_set(-LN2_HIGH), x);
    r = vec_fma(k, vec_set(-LN2_LOW), r);
    vec p = vec_set(inverse_factorial[EXP_TERMS]);
    for (int i = EXP_TERMS - 1; i >= 0; i--) p = vec_fma(p, r, vec_set(inverse_factorial[i]));
    /* 2^k in two factors, so that the last product rounds into the denormals */
    enum { SAFE = FC_DOUBLE ? 128 : 64 };
    uvec exponent = (uvec)shifted - (uvec)rounder + (lane_uint)(EXPONENT_BIAS + SAFE);
    vec small = (vec)((uvec){0} + ((lane_uint)(EXPONENT_BIAS - SAFE) << MANTISSA_BITS));
    return p * (vec)(exponent << MANTISSA_BITS) * small;
}

#endif
