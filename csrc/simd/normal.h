/* The tail of the normal distribution, Q(a) = 1 - Phi(a) for a >= 0, as a product:
 *
 *   Q(a) = R(a) exp(-a^2 / 2),   R(a) = w p(w - MIDDLE),   w = 8 / (a + SHIFT)
 *
 * R falls from 1/2 like 1 / a; divided by w it is nearly constant, and p is the polynomial that
 * interpolates it at Chebyshev's points of 0 <= a <= NORMAL_FURTHEST, where Q is 0: relative error
 * 1.6e-8 in float32, 2.6e-17 in float64.
 *
 * a^2 / 2 is large where Q is small, and its rounding would be an error of many units in the last
 * place: a is cut into its upper half, whose square is exact, and the rest. */
#ifndef FASTFC_SIMD_NORMAL_H
#define FASTFC_SIMD_NORMAL_H

#include "simd/exp.h"
#include "simd/vec.h"


#if FC_DOUBLE
#define NORMAL_FURTHEST 38.98 /* a^2 / 2 < 760 */
#define NORMAL_SHIFT 5
#define NORMAL_MIDDLE 0.875
#define HALF_MANTISSA 27 /* bits that are cut */
static const real normal_polynomial[] = {
    0.1045246921325995026,    0.1198579370946117151,   0.1157779524485179057,
    0.0932229259081691323,    0.06110924456315903876,  0.03102346075493523613,
    0.01074057500241543903,   0.00132206282194246824,  -0.0009490182632245209691,
    -0.000534340046548733745, 5.541650037970323026e-7, 0.0000946140786892080653,
    0.0000178236685225852554, -0.00001618204160290673, -5.333397955035395496e-6,
    3.181204453466949603e-6,  1.269287177022796353e-6, -7.416885413357437986e-7,
    -2.589096458279896218e-7, 1.777230613308944827e-7, 3.481230340453574346e-8,
    -2.904061154581048102e-8,
};
#else
#define NORMAL_FURTHEST 14.83f /* a^2 / 2 < 110 */
#define NORMAL_SHIFT 4
#define NORMAL_MIDDLE 1.25f
#define HALF_MANTISSA 12
static const real normal_polynomial[] = {
    0.11682651438f,   0.1050421515f,     0.068827559174f,   0.031291437969f,  0.0082152582128f,
    5.1642171194e-5f, -7.2085450881e-4f, -1.1290807919e-4f, 5.8860764689e-5f, 1.5411328505e-5f,
};
#endif

typedef struct {
    vec a;           /* |x|, at most NORMAL_FURTHEST */
    vec r;           /* R(a) */
    exp_factors exp; /* exp(-a^2 / 2) */
} normal_tail;

ALWAYS_INLINE normal_tail vec_normal_tail(vec x) {
    const vec furthest = vec_set(NORMAL_FURTHEST);
    vec a = vec_abs(x);
    a = vec_select(a > furthest, furthest, a);
    const vec shift = vec_set(NORMAL_SHIFT), sum = a + shift, lost = a - (sum - shift);
    const vec w = vec_set(8) / sum, step = w * vec_set((real)0.125);
    const vec t =
        vec_fma(vec_fma(-w, sum, vec_set(8)) - w * lost, step, w - vec_set(NORMAL_MIDDLE));
    enum { TERMS = sizeof normal_polynomial / sizeof *normal_polynomial };
    vec p = vec_set(normal_polynomial[TERMS - 1]);
    for (int i = TERMS - 2; i >= 0; i--) p = vec_fma(p, t, vec_set(normal_polynomial[i]));
    const vec upper = (vec)((uvec)a >> HALF_MANTISSA << HALF_MANTISSA);
    const vec half = vec_set((real)-0.5);
    return (normal_tail){
        a, w * p, vec_exp_factors_of_sum(half * upper * upper, half * (a - upper) * (a + upper))};
}

#endif
