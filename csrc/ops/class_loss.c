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
NEVER_INLINE real sum_shifted_row(const real *x, real greatest, size_t C) {
    vec sum[1] = {{0}};
    SUM_IN_BLOCKS(sum, 1, first, last, C, CLASSES_BLOCK, {
        EACH_VECTOR(j, last - first, {
            const vec below = vec_load(x + first + j, lanes) - vec_set(greatest);
            sum[0] += vec_fill_rest(below, lanes, 0);
        });
    });
    return vec_reduce_add(sum[0]);
}

/* What a batch's loss is added up from.  log a + log b = log(a b): sums of rows of one weight are
 * multiplied, and few logarithms taken, before overflow. */
typedef struct {
    double total, product, weight;
} log_sum;

/* Adds a row of such a weight: -chosen, and the logarithm of its sum. */
ALWAYS_INLINE void add_row_loss(log_sum *loss, double weight, double chosen, real sum) {
    if (weight != loss->weight || !(loss->product < 1e200)) {
        loss->total += loss->weight * log(loss->product);
        loss->product = 1, loss->weight = weight;
    }
    loss->total -= weight * chosen;
    loss->product *= (double)sum;
}

/* Few classes: several rows side by side in each vector, so that no sum or maximum runs across one
 * (30 ns a row of 10 classes are 8 ns). */
enum { FEW_CLASSES = 32 };

static double softmax_of_few(const loss_job *c, size_t first, size_t rows) {
    const size_t C = c->C;
    const double smoothing = c->loss->number, share = smoothing / (double)C;
    const real target = (real)(1 - smoothing + share), *x = c->x + first * C;
    const int64_t *labels = c->loss->labels + first;
    real *dx = c->dx + first * C;
    real e[FEW_CLASSES][LOSS_BLOCK], below[LOSS_BLOCK], sums[LOSS_BLOCK], shifted[LOSS_BLOCK];
    real divisor[LOSS_BLOCK], chosen[LOSS_BLOCK];
    for (size_t j = 0; j < C; j++)
        for (size_t i = 0; i < LOSS_BLOCK; i++) e[j][i] = i < rows ? x[i * C + j] : 0;
    for (size_t i = 0; i < LOSS_BLOCK; i++)
        divisor[i] = i < rows ? (real)row_divisor(c, first + i) : 1;
    for (size_t i = 0; i < rows; i++) chosen[i] = e[labels[i]][i];
    for (size_t i = 0; i < LOSS_BLOCK; i += LANES) {
        vec greatest = vec_load(&e[0][i], LANES), sum = {0}, sum_below = {0};
        for (size_t j = 1; j < C; j++) greatest = vec_max(vec_load(&e[j][i], LANES), greatest);
        for (size_t j = 0; j < C; j++) {
            const vec less = vec_load(&e[j][i], LANES) - greatest, v = vec_exp_nonpositive(less);
            vec_store(&e[j][i], v, LANES);
            sum += v, sum_below += less;
        }
        vec_store(below + i, greatest, LANES);
        vec_store(sums + i, sum, LANES);
        vec_store(shifted + i, sum_below, LANES);
    }
    log_sum loss = {0, 1, 1};
    for (size_t i = 0; i < rows; i++) {
        double score = (double)(chosen[i] - below[i]);
        if (smoothing != 0) score = (1 - smoothing) * score + share * (double)shifted[i];
        add_row_loss(&loss, row_weight(c, first + i), score, sums[i]);
        chosen[i] = (e[labels[i]][i] * (1 / sums[i]) - target) / divisor[i];
    }
    for (size_t i = 0; i < LOSS_BLOCK; i += LANES) {
        const vec n = vec_load(divisor + i, LANES), other = vec_set((real)-share) / n;
        const vec scale = vec_set(1) / vec_load(sums + i, LANES) / n;
        for (size_t j = 0; j < C; j++)
            vec_store(&e[j][i], vec_fma(vec_load(&e[j][i], LANES), scale, other), LANES);
    }
    for (size_t i = 0; i < rows; i++, dx += C) {
        for (size_t j = 0; j < C; j++) dx[j] = e[j][i];
        dx[labels[i]] = chosen[i];
    }
    return loss.total + loss.weight * log(loss.product);
}

static double softmax_rows(const loss_job *c, size_t first, size_t rows) {
    const size_t C = c->C;
    /* a row has a class at least: GCC 16 would warn of one that has none */
    if (0 < C && C <= FEW_CLASSES) return softmax_of_few(c, first, rows);
    const double smoothing = c->loss->number, share = smoothing / (double)C;
    const real target = (real)(1 - smoothing + share);
    const real *x = c->x + first * C;
    real *dx = c->dx + first * C;
    log_sum loss = {0, 1, 1};
    for (size_t i = first; i < first + rows; i++, x += C, dx += C) {
        const int64_t y = c->loss->labels[i];
        const double n = row_divisor(c, i);
        const real greatest = row_max(x, C), score = x[y];
        const real sum = exp_row(dx, x, greatest, C);
        double chosen = (double)(score - greatest);
        if (smoothing != 0)
            chosen = (1 - smoothing) * chosen + share * (double)sum_shifted_row(x, greatest, C);
        add_row_loss(&loss, row_weight(c, i), chosen, sum);
        const vec scale = vec_set(1 / sum / (real)n), other = vec_set((real)(-share / n));
        const real probability = dx[y] * (1 / sum);
        EACH_VECTOR(j, C,
                    { vec_store(dx + j, vec_fma(vec_load(dx + j, lanes), scale, other), lanes); });
        dx[y] = (probability - target) / (real)n;
    }
    return loss.total + loss.weight * log(loss.product);
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
