/* The logarithm of 1 + e, e in [0, 1] or NaN: what a logistic loss needs of it.
 *
 * log(1 + e) = 2 atanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...),  s = e / (2 + e) <= 1/3.
 *
 * No digit of a small e is lost, as it would be in 1 + e. */
#ifndef FASTFC_SIMD_LOG_H
#define FASTFC_SIMD_LOG_H

#include "simd/vec.h"

#if FC_DOUBLE
#define LOG1P_TERMS 17 /* 3^-34 / 35 = 1.7e-18 */
#else
#define LOG1P_TERMS 8 /* 3^-16 / 17 = 1.4e-9 */
#endif

/* log(1 + e) to 4 units in the last place. */
ALWAYS_INLINE vec vec_log1p(vec e) {
    const vec s = e / (e + vec_set(2)), square = s * s;
    vec p = vec_set((real)(1.0 / (2 * LOG1P_TERMS - 1)));
    for (int i = LOG1P_TERMS - 2; i >= 0; i--)
        p = vec_fma(p, square, vec_set((real)(1.0 / (2 * i + 1))));
    return (s + s) * p;
}

#endif
