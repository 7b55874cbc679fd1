/* Losses over class scores x (N, C) and labels y (N,) in [0, C), averaged over the batch.
 * loss: one number; dx (N, C): its gradient with respect to x, set.  N, C >= 1.
 *
 *   softmax   loss = mean of  log sum_j exp(x_j) - sum_j q_j x_j         dx = (softmax(x) - q) / N
 *             q = (1 - s) onehot(y) + s / C,  s = label_smoothing in [0, 1]  (Szegedy et al. 2016)
 *   svm       loss = mean of  sum_{j != y} max(0, x_j - x_y + 1)     (Weston & Watkins 1999)
 *             dx_j = [margin_j > 0] / N,   dx_y = -(number of those) / N
 *
 * Sums over the batch go in blocks, in the order of reduce.c; those over classes too, by vectors.
 */
#ifndef FASTFC_OPS_LOSS_C
#define FASTFC_OPS_LOSS_C

#include "fastfc.h"
#include "ops/reduce.c"
#include "simd/exp.h"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Sums over a row: a block is one of vectors. */
enum { CLASSES_BLOCK = SUM_BLOCK * LANES };

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

typedef struct {
    real *dx;
    const real *x;
    const int64_t *y;
    double label_smoothing;
    size_t N, C;
} loss_job;

/* dx of some rows, and the sum of their losses. */
typedef double (*loss_of_rows)(const loss_job *c, size_t first, size_t rows);

static double sum_losses(loss_of_rows run, const loss_job *c, size_t first, size_t N) {
    if (N <= SUM_BLOCK) return run(c, first, N);
    if (N > SUM_LOOK && fc_look()) return 0;
    const size_t half = first_half(N, SUM_BLOCK);
    const double sum = sum_losses(run, c, first, half);
    return sum + sum_losses(run, c, first + half, N - half);
}

static double softmax_rows(const loss_job *c, size_t first, size_t rows) {
    const size_t N = c->N, C = c->C;
    const int64_t *y = c->y + first;
    const double smoothing = c->label_smoothing, share = smoothing / (double)C;
    const real target = (real)(1 - smoothing + share);
    const vec other = vec_set((real)(-share / (double)N));
    const real *x = c->x + first * C;
    real *dx = c->dx + first * C;
    /* log a + log b = log(a b): sums are multiplied, and few logarithms taken, before overflow */
    double total = 0, product = 1;
    for (size_t i = 0; i < rows; i++, x += C, dx += C) {
        const real greatest = row_max(x, C), score = x[y[i]];
        const real sum = exp_row(dx, x, greatest, C);
        double chosen = (double)(score - greatest);
        if (smoothing != 0)
            chosen = (1 - smoothing) * chosen + share * (double)sum_shifted_row(x, greatest, C);
        total -= chosen;
        product *= (double)sum;
        if (!(product < 1e200)) total += log(product), product = 1;
        const vec scale = vec_set(1 / sum / (real)N);
        const real probability = dx[y[i]] * (1 / sum);
        EACH_VECTOR(j, C,
                    { vec_store(dx + j, vec_fma(vec_load(dx + j, lanes), scale, other), lanes); });
        dx[y[i]] = (probability - target) / (real)N;
    }
    return total + log(product);
}

static void softmax_loss(double *loss, real *dx, const real *x, const int64_t *y,
                         double label_smoothing, size_t N, size_t C) {
    const loss_job c = {dx, x, y, label_smoothing, N, C};
    *loss = sum_losses(softmax_rows, &c, 0, N) / (double)N;
}

static double svm_rows(const loss_job *c, size_t first, size_t rows) {
    const size_t C = c->C;
    const vec zero = {0}, hit = vec_set(1 / (real)c->N);
    const real *x = c->x + first * C;
    real *dx = c->dx + first * C;
    double total = 0;
    for (size_t i = first; i < first + rows; i++, x += C, dx += C) {
        const int64_t y = c->y[i];
        const vec score = vec_set(x[y]);
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
        total += (double)vec_reduce_add(sum[0]);
        dx[y] = (0 - vec_reduce_add(hits)) / (real)c->N;
    }
    return total;
}

static void svm_loss(double *loss, real *dx, const real *x, const int64_t *y, size_t N, size_t C) {
    const loss_job c = {dx, x, y, 0, N, C};
    *loss = sum_losses(svm_rows, &c, 0, N) / (double)N;
}

#endif
