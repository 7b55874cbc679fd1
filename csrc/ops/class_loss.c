/* Losses of class scores x (N, C) and labels y (N,) in [0, C); loss_rows.c says how they are
 * averaged.
 *
 *   softmax   l = log sum_j exp(x_j) - sum_j q_j x_j             dl/dx = softmax(x) - q
 *             q = (1 - s) onehot(y) + s / C,  s = label_smoothing in [0, 1]  (Szegedy et al. 2016)
 *   svm       l = sum_{j != y} max(0, x_j - x_y + 1)             (Weston & Watkins 1999)
 *             dl/dx_j = [margin_j > 0],   dl/dx_y = -(number of those) */
#ifndef FASTFC_OPS_CLASS_LOSS_C
#define FASTFC_OPS_CLASS_LOSS_C

#include "ops/loss_rows.c"
#include "ops/reduce.c"
#include "simd/exp.h"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* e = exp(x - greatest) for one row of C scores; returns their sum. */
ALWAYS_INLINE real exp_row(real *e, const real *x, real greatest, size_t C) {
    vec sum[1] = {{0}};
    SUM_IN_BLOCKS(sum, 1, first, last, C, CLASSES_BLOCK, {
        EACH_VECTOR(j, last - first, {
            vec v = vec_exp_nonpositive(vec_load(x + first + j, lanes) - vec_set(greatest));
            vec_store(e + first + j, v, lanes);
            sum[0] += vec_fill_rest(v, lanes, 0);
        });
    });
    return vec_reduce_add(sum[0]);
}

ALWAYS_INLINE real row_max(const real *x, size_t C) {
    vec greatest = vec_set(-(real)INFINITY);
    EACH_VECTOR(j, C, {
        vec v = vec_fill_rest(vec_load(x + j, lanes), lanes, -(real)INFINITY);
        greatest = vec_max(v, greatest);
    });
    return vec_reduce_max(greatest);
}

/* The sum of x - greatest over one row. */
static real sum_shifted_row(const real *x, real greatest, size_t C) {
    vec sum[1] = {{0}};
    SUM_IN_BLOCKS(sum, 1, first, last, C, CLASSES_BLOCK, {
        EACH_VECTOR(j, last - first, {
            const vec below = vec_load(x + first + j, lanes) - vec_set(greatest);
            sum[0] += vec_fill_rest(below, lanes, 0);
        });
    });
    return vec_reduce_add(sum[0]);
}

static double softmax_rows(const loss_job *c, size_t first, size_t rows) {
    const size_t C = c->C;
    const double smoothing = c->loss->number, share = smoothing / (double)C;
    const real target = (real)(1 - smoothing + share);
    const real *x = c->x + first * C;
    real *dx = c->dx + first * C;
    /* log a + log b = log(a b): sums of rows of one weight are multiplied, and few logarithms
     * taken, before overflow */
    double total = 0, product = 1, weight = 1;
    for (size_t i = first; i < first + rows; i++, x += C, dx += C) {
        const int64_t y = c->loss->labels[i];
        const double n = row_divisor(c, i);
        if (row_weight(c, i) != weight) {
            total += weight * log(product), product = 1;
            weight = row_weight(c, i);
        }
        const real greatest = row_max(x, C), score = x[y];
        const real sum = exp_row(dx, x, greatest, C);
        double chosen = (double)(score - greatest);
        if (smoothing != 0)
            chosen = (1 - smoothing) * chosen + share * (double)sum_shifted_row(x, greatest, C);
        total -= weight * chosen;
        product *= (double)sum;
        if (!(product < 1e200)) total += weight * log(product), product = 1;
        const vec scale = vec_set(1 / sum / (real)n), other = vec_set((real)(-share / n));
        const real probability = dx[y] * (1 / sum);
        EACH_VECTOR(j, C,
                    { vec_store(dx + j, vec_fma(vec_load(dx + j, lanes), scale, other), lanes); });
        dx[y] = (probability - target) / (real)n;
    }
    return total + weight * log(product);
}

static double svm_rows(const loss_job *c, size_t first, size_t rows) {
    const size_t C = c->C;
    const vec zero = {0};
    const real *x = c->x + first * C;
    real *dx = c->dx + first * C;
    double total = 0;
    for (size_t i = first; i < first + rows; i++, x += C, dx += C) {
        const int64_t y = c->loss->labels[i];
        const real n = (real)row_divisor(c, i);
        const vec score = vec_set(x[y]), hit = vec_set(1 / n);
        vec sum[1] = {{0}}, hits = {0};
        SUM_IN_BLOCKS(sum, 1, start, end, C, CLASSES_BLOCK, {
            EACH_VECTOR(k, end - start, {
                const size_t j = start + k;
                vec margin = vec_load(x + j, lanes) - score + vec_set(1);
                margin = vec_select(margin < zero, zero, margin);
                ivec others = vec_lane_numbers() != (lane_int)y - (lane_int)j;
                margin = vec_fill_rest((vec)(others & (ivec)margin), lanes, 0);
                ivec positive = margin > zero;
                vec_store(dx + j, (vec)(positive & (ivec)hit), lanes);
                sum[0] += margin;
                hits += (vec)(positive & (ivec)vec_set(1));
            });
        });
        total += row_weight(c, i) * (double)vec_reduce_add(sum[0]);
        dx[y] = (0 - vec_reduce_add(hits)) / n;
    }
    return total;
}

#endif
