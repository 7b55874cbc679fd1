/* Exponentials of vectors, and what is made of them.  Errors are in units in the last place, the
 * greatest of all float32 arguments; of float64 of those that test_functions.c tries.  Where the
 * instruction set has no fused multiply-add they are the second ones:
 *
 *                  float32      float64
 *   vec_exp        0.94  1.22   0.9  1.2      also vec_exp_nonpositive
 *   vec_logistic   2.41  2.41   2.4  2.4
 *   vec_tanh       2.50  2.50   2.6  2.6
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
#define EXP_LOWEST (-760.0) /* from here down exp is 0, and so are its products with x */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_TERMS 13 /* 0.3466^14 / 14! = 4e-18 */
#else
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define EXP_LOWEST (-110.0f)
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)
#define EXP_TERMS 7 /* 0.3466^8 / 8! = 5e-9 */
#endif

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

/* The Taylor polynomial of exp(r) without its first terms: of (exp(r) - 1 - ...) / r^first. */
ALWAYS_INLINE vec exp_polynomial(vec r, const int first) {
    vec p = vec_set(inverse_factorial[EXP_TERMS]);
    for (int i = EXP_TERMS - 1; i >= first; i--) p = vec_fma(p, r, vec_set(inverse_factorial[i]));
    return p;
}

ALWAYS_INLINE vec exp_rounder(void) {
    return vec_set((real)1.5 * (real)((lane_int)1 << MANTISSA_BITS));
}

/* r of x; sets k. */
ALWAYS_INLINE vec exp_remainder(vec x, uvec *k) {
    const vec shifted = vec_fma(x, vec_set((real)1.4426950408889634074), exp_rounder());
    const vec whole = shifted - exp_rounder();
    *k = (uvec)shifted - (uvec)exp_rounder();
    return vec_fma(whole, vec_set(-LN2_LOW), vec_fma(whole, vec_set(-LN2_HIGH), x));
}

/* 2^k, for a k between the exponents of normal numbers. */
ALWAYS_INLINE vec exp_power(uvec k) {
    return (vec)((k + (lane_uint)EXPONENT_BIAS) << MANTISSA_BITS);
}

/* exp(x) as a product, for EXP_LOWEST <= x <= 0: of exp(r) and 2^k in two factors.  What multiplies
 * exp(x) multiplies p first, which is of order 1; only the last product, by the constant `low`,
 * rounds into the denormals. */
typedef struct {
    vec p, high, low;
} exp_factors;

ALWAYS_INLINE exp_factors exp_factors_of(vec r, uvec k) {
    enum { SAFE = FC_DOUBLE ? 128 : 64 };
    return (exp_factors){exp_polynomial(r, 0), exp_power(k + (lane_uint)SAFE),
                         exp_power((uvec){0} - (lane_uint)SAFE)};
}

ALWAYS_INLINE exp_factors vec_exp_factors(vec x) {
    uvec k;
    const vec r = exp_remainder(x, &k);
    return exp_factors_of(r, k);
}

/* The same of x + rest, where rest is too small to change k by more than 1. */
ALWAYS_INLINE exp_factors vec_exp_factors_of_sum(vec x, vec rest) {
    uvec k;
    const vec r = exp_remainder(x, &k) + rest;
    return exp_factors_of(r, k);
}

ALWAYS_INLINE vec times_exp(vec factor, exp_factors e) { return factor * e.p * e.high * e.low; }

/* exp(x) for x <= 0 or NaN, denormal results included. */
ALWAYS_INLINE vec vec_exp_nonpositive(vec x) {
    const vec lowest = vec_set(EXP_LOWEST);
    const exp_factors e = vec_exp_factors(vec_select(x < lowest, lowest, x));
    return e.p * e.high * e.low;
}

/* exp(x) for any x. */
ALWAYS_INLINE vec vec_exp(vec x) {
    const vec lowest = vec_set(EXP_LOWEST), highest = vec_set(-EXP_LOWEST);
    x = vec_select(x < lowest, lowest, x);
    x = vec_select(x > highest, highest, x);
    uvec k;
    const vec p = exp_polynomial(exp_remainder(x, &k), 0);
    const uvec half = (uvec)((ivec)k >> 1);
    return p * exp_power(half) * exp_power(k - half);
}

ALWAYS_INLINE ivec vec_sign(vec x) { return (ivec)x & (ivec)vec_set((real)-0.0); }
ALWAYS_INLINE vec vec_abs(vec x) { return (vec)((ivec)x & ~(ivec)vec_set((real)-0.0)); }

/* 1 / (1 + exp(-x)); of negative numbers exp(x) / (1 + exp(x)). */
ALWAYS_INLINE vec vec_logistic(vec x) {
    const vec one = vec_set(1), e = vec_exp_nonpositive(-vec_abs(x));
    return vec_select(x < (vec){0}, e, one) / (one + e);
}

/* The hyperbolic tangent: -t / (2 + t) with t = exp(-2 |x|) - 1, which is 2^k (exp(r) - 1) and
 * 2^k - 1. */
ALWAYS_INLINE vec vec_tanh(vec x) {
    const vec lowest = vec_set(EXP_LOWEST / 2); /* where 2^k is a normal number */
    vec y = vec_abs(x) * vec_set(-2);
    y = vec_select(y < lowest, lowest, y);
    uvec k;
    const vec r = exp_remainder(y, &k), scale = exp_power(k);
    const vec less = vec_fma(r * r, exp_polynomial(r, 2), r);
    const vec t = vec_fma(scale, less, scale - vec_set(1));
    return (vec)((ivec)vec_abs(t / (vec_set(2) + t)) | vec_sign(x));
}

#endif
