/* Whether no number is an infinity or NaN: each of these minus itself is NaN.
 *
 * x: (n,). */
#ifndef FASTFC_OPS_FINITE_C
#define FASTFC_OPS_FINITE_C

#include "simd/vec.h"

#include <stddef.h>

static int all_finite(const real *x, size_t n) {
    ivec beyond = {0};
    EACH_VECTOR(i, n, {
        const vec v = vec_load(x + i, lanes);
        beyond |= v - v != vec_set(0);
    });
    return vec_bits(beyond) == 0;
}

#endif
