/* Losses over class scores x (N, C) and labels y (N,) in [0, C), averaged over the batch.
 * loss: one number; dx (N, C): its gradient with respect to x, set.  N, C >= 1.
 *
 *   softmax   loss = mean of  log sum_j exp(x_j) - sum_j q_j x_j         dx = (softmax(x) - q) / N
 *             q = (1 - s) onehot(y) + s / C,  s = label_smoothing in [0, 1]  (Szegedy et al. 2016)
 *   svm       loss = mean of  sum_{j != y} max(0, x_j - x_y + 1)     (Weston & Watkins 1999)
 *             dx_j = [margin_j > 0] / N,   dx_y = -(number of those) / N */
#ifndef FASTFC_OPS_LOSS_C
#define FASTFC_OPS_LOSS_C

#include "simd/vec.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

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

/* exp(x) for x <= 0 or NaN, to 2 units in the last place, denormal results included.
 * exp(x) = 2^k exp(r) with r = x - k ln 2, where ln 2 is a sum of two parts (Cody & Waite 1980),
 * and |r| <= ln(2) / 2; exp(r) is a Taylor polynomial.  k is x / ln 2 rounded: adding 1.5 *
 * 2^MANTISSA_BITS rounds to an integer, which is then in the low bits of the sum. */
ALWAYS_INLINE vec vec_exp(vec x) {
    static const real inverse_factorial[] = {
        1,
        1,
        1.0 / 2,
        1.0 / 6,
        1.0 / 24,
        1.0 / 120,
        1.0 / 720,
        1.0 / 5040,
        1.0 / 40320,
        1.0 / 362880,
        1.0 / 3628800,
        1.0 / 39916800,
        1.0 / 479001600,
        1.0 / 6227020800,
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

/* e = exp(x - greatest) for one row of C scores; returns their sum. */
static real exp_row(real *e, const real *x, real greatest, size_t C) {
    vec sum = {0};
    EACH_VECTOR(j, C, {
        vec v = vec_exp(vec_load(x + j, lanes) - vec_set(greatest));
        vec_store(e + j, v, lanes);
        sum += vec_fill_rest(v, lanes, 0);
    });
    return vec_reduce_add(sum);
}

static real row_max(const real *x, size_t C) {
    vec greatest = vec_set(-(real)INFINITY);
    EACH_VECTOR(j, C, {
        vec v = vec_fill_rest(vec_load(x + j, lanes), lanes, -(real)INFINITY);
        greatest = vec_max(v, greatest);
    });
    return vec_reduce_max(greatest);
}

/* The sum of x - greatest over one row. */
static real sum_shifted_row(const real *x, real greatest, size_t C) {
    vec sum = {0};
    EACH_VECTOR(j, C,
                { sum += vec_fill_rest(vec_load(x + j, lanes) - vec_set(greatest), lanes, 0); });
    return vec_reduce_add(sum);
}

static void softmax_loss(double *loss, real *dx, const real *x, const int64_t *y,
                         double label_smoothing, size_t N, size_t C) {
    const double share = label_smoothing / (double)C;
    const real target = (real)(1 - label_smoothing + share);
    const vec other = vec_set((real)(-share / (double)N));
    /* log a + log b = log(a b): sums are multiplied, and few logarithms taken, before overflow */
    double total = 0, product = 1;
    for (size_t i = 0; i < N; i++, x += C, dx += C) {
        const real greatest = row_max(x, C), score = x[y[i]];
        const real sum = exp_row(dx, x, greatest, C);
        double chosen = (double)(score - greatest);
        if (label_smoothing != 0)
            chosen =
                (1 - label_smoothing) * chosen + share * (double)sum_shifted_row(x, greatest, C);
        total -= chosen;
        product *= (double)sum;
        if (!(product < 1e200)) total += log(product), product = 1;
        const vec scale = vec_set(1 / sum / (real)N);
        const real probability = dx[y[i]] * (1 / sum);
        EACH_VECTOR(j, C,
                    { vec_store(dx + j, vec_fma(vec_load(dx + j, lanes), scale, other), lanes); });
        dx[y[i]] = (probability - target) / (real)N;
    }
    *loss = (total + log(product)) / (double)N;
}

static void svm_loss(double *loss, real *dx, const real *x, const int64_t *y, size_t N, size_t C) {
    const vec zero = {0}, hit = vec_set(1 / (real)N);
    double total = 0;
    for (size_t i = 0; i < N; i++, x += C, dx += C) {
        const vec score = vec_set(x[y[i]]);
        vec sum = {0}, hits = {0};
        EACH_VECTOR(j, C, {
            vec margin = vec_load(x + j, lanes) - score + vec_set(1);
            margin = vec_select(margin < zero, zero, margin);
            ivec others = vec_lane_numbers() != (lane_int)y[i] - (lane_int)j;
            margin = vec_fill_rest((vec)(others & (ivec)margin), lanes, 0);
            ivec positive = margin > zero;
            vec_store(dx + j, (vec)(positive & (ivec)hit), lanes);
            sum += margin;
            hits += (vec)(positive & (ivec)vec_set(1));
        });
        total += (double)vec_reduce_add(sum);
        dx[y[i]] = (0 - vec_reduce_add(hits)) / (real)N;
    }
    *loss = total / (double)N;
}

#endif
