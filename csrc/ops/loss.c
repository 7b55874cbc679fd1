/* Losses over class scores x (N, C) and labels y (N,) in [0, C), averaged over the batch.
 * loss: one number; dx (N, C): its gradient with respect to x, set.  N, C >= 1.
 *
 *   softmax   loss = mean of  log sum_j exp(x_j) - sum_j q_j x_j         dx = (softmax(x) - q) / N
 *             q = (1 - s) onehot(y) + s / C,  s = label_smoothing in [0, 1]  (Szegedy et al. 2016)
 *   svm       loss = mean of  sum_{j != y} max(0, x_j - x_y + 1)     (Weston & Watkins 1999)
 *             dx_j = [margin_j > 0] / N,   dx_y = -(number of those) / N */
#ifndef FASTFC_OPS_LOSS_C
#define FASTFC_OPS_LOSS_C

#include "simd/exp.h"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

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
