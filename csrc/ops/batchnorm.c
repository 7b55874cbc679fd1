/* Batch normalisation, per feature over the batch (Ioffe & Szegedy 2015):
 *
 *   out = gamma * x_normalized + beta,   x_normalized = (x - mean) * rstd,
 *   rstd = 1 / sqrt(var + eps)
 *
 * out, x_normalized, x: (N, D).  All others: (D,).  var is the biased variance.  x_normalized and
 * rstd are kept for the backward pass.  N >= 1.
 * Mean first, then variance: the one-pass sum of squares loses half the digits when |mean| >> std.
 * Sums over the batch go in blocks, in the order of reduce.c.  Where squares overflow the
 * statistics are taken again, by statistics.c: out is right for all finite x.  The running averages
 * are left as they were where the batch's variance is beyond the dtype: rstd is then below
 * LEAST_RSTD.
 *
 * Features are independent of each other, so tasks are slices of columns, or, where nothing is
 * summed, ranges of rows.  Functions named `_columns` work on one slice, whose rows are `stride`
 * elements apart.
 *
 * Measured without gain, backward: slices narrow enough for L1 (20 % slower at 100x100); the second
 * pass from the last row to the first (7 % faster at 100x100, 15 % slower at 256x128). */
#ifndef FASTFC_OPS_BATCHNORM_C
#define FASTFC_OPS_BATCHNORM_C

#include "fastfc.h"
#include "ops/reduce.c"
#include "ops/relu.c"
#include "ops/statistics.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <string.h>

/* Elements of a slice, several microseconds of work.  Where possible a slice is not narrower than
 * NARROWEST columns: rows a multiple of 4 KB apart fall into the same cache sets, and a narrow
 * slice then uses few of the sets. */
enum { SLICE_WORK = 1 << 14, NARROWEST = 128, WIDEST = SUM_COLUMNS };

/* How many slices, of whole vectors of columns, (N, D) is cut into. */
static size_t slices_of(size_t N, size_t D) {
    const size_t worth = ceil_div(N * D, SLICE_WORK), most = ceil_div(D, NARROWEST);
    const size_t few = min_size(ceil_div(D, LANES), 4), least = ceil_div(D, WIDEST);
    const size_t slices = min_size(worth, most > few ? most : few);
    return slices > least ? slices : least;
}

/* First column of a slice; for slice == slices, D. */
static size_t slice_start(size_t D, size_t slices, size_t slice) {
    return min_size(share_start(ceil_div(D, LANES), slices, slice) * LANES, D);
}

/* sum (D,) += squares of the rows of x - mean. */
ALWAYS_INLINE void add_squares(real *sum, const real *x, const real *mean, size_t rows, size_t D,
                               size_t stride) {
    EACH_VECTOR(j, D, {
        vec s = vec_load(sum + j, lanes);
        vec m = vec_load(mean + j, lanes);
        for (size_t r = 0; r < rows; r++) {
            vec d = vec_load(x + r * stride + j, lanes) - m;
            s = vec_fma(d, d, s);
        }
        vec_store(sum + j, s, lanes);
    });
}

ALWAYS_INLINE vec reciprocal_deviation(vec var, vec eps) {
    return vec_set(1) / vec_sqrt(var + eps);
}

/* The sums of squares of x - mean, which is x->other (D,). */
static void sum_block_of_squares(const summed_rows *x, real *sum, real *more, size_t first,
                                 size_t rows_) {
    (void)more;
    const size_t D = x->D, stride = x->stride;
    const real *block = x->x + first * stride, *mean = x->other;
    memset(sum, 0, D * sizeof(real));
    EACH_ROW_BLOCK_AT(i, rows_, stride,
                      { add_squares(sum, block + i * stride, mean, rows, D, stride); });
}

/* mean and var of x over the batch, and rstd. */
static void statistics_columns(real *mean, real *var, real *rstd, const real *x, double eps,
                               size_t N, size_t D, size_t stride) {
    const vec n = vec_set((real)N), e = vec_set((real)eps);
    sum_rows(mean, x, N, D, stride);
    EACH_VECTOR(j, D, { vec_store(mean + j, vec_load(mean + j, lanes) / n, lanes); });
    sum_blocks(sum_block_of_squares, &(summed_rows){x, mean, D, stride}, var, NULL, 0, N);
    EACH_VECTOR(j, D, {
        vec v = vec_load(var + j, lanes) / n;
        vec_store(var + j, v, lanes);
        vec_store(rstd + j, reciprocal_deviation(v, e), lanes);
        const unsigned lost = lost_variances(v, e, lanes);
        if (lost) recover_columns(mean + j, var + j, rstd + j, x + j, eps, N, stride, lost);
    });
}

/* next = momentum * running + (1 - momentum) * next, in place; running where rstd says that the
 * batch's variance is beyond the dtype. */
NEVER_INLINE void running_average(real *next, const real *running, const real *rstd,
                                  double momentum, size_t D) {
    const vec kept = vec_set((real)momentum), added = vec_set((real)(1 - momentum));
    EACH_VECTOR(j, D, {
        const vec old = vec_load(running + j, lanes);
        const vec average = vec_fma(added, vec_load(next + j, lanes), kept * old);
        const ivec beyond = vec_load(rstd + j, lanes) < vec_set(LEAST_RSTD);
        vec_store(next + j, vec_select(beyond, old, average), lanes);
    });
}

ALWAYS_INLINE vec scale_and_shift(vec normalized, vec gamma, vec beta) {
    return vec_fma(gamma, normalized, beta);
}

typedef struct {
    real *out, *x_normalized, *rstd, *next_mean, *next_var;
    const real *x, *gamma, *beta, *running_mean, *running_var;
    double eps, momentum;
    size_t N, D, slices;
} batchnorm_job;

/* Task: mean, variance and rstd of a slice of columns. */
static void statistics_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const batchnorm_job *c = context;
    const size_t first = slice_start(c->D, c->slices, slice);
    statistics_columns(c->next_mean + first, c->next_var + first, c->rstd + first, c->x + first,
                       c->eps, c->N, slice_start(c->D, c->slices, slice + 1) - first, c->D);
}

/* x_normalized and out of a range of rows.  Cut by slices of columns it suffered from 4 KB
 * aliasing: a load whose address differs from that of a store just before it by a multiple of 4 KB
 * is taken to depend on it and waits (256x1024: 118 us against 66). */
ALWAYS_INLINE void normalize_range(const batchnorm_job *c, size_t range, const int beyond) {
    const size_t start = share_start(c->N, c->slices, range), D = c->D;
    EACH_ROW_BLOCK_AT(i, share_start(c->N, c->slices, range + 1) - start, D, {
        EACH_VECTOR(j, D, {
            const vec mean = vec_load(c->next_mean + j, lanes);
            const vec rstd = vec_load(c->rstd + j, lanes);
            const vec gamma = vec_load(c->gamma + j, lanes), beta = vec_load(c->beta + j, lanes);
            for (size_t r = 0; r < rows; r++) {
                const size_t at = (start + i + r) * D + j;
                const vec n = normalize(vec_load(c->x + at, lanes), mean, rstd, beyond);
                vec_store(c->x_normalized + at, n, lanes);
                vec_store(c->out + at, scale_and_shift(n, gamma, beta), lanes);
            }
        });
    });
}

static void normalize_task(void *context, size_t range, void *scratch) {
    (void)scratch;
    const batchnorm_job *c = context;
    if (any_beyond(c->rstd, c->D))
        normalize_range(c, range, 1);
    else
        normalize_range(c, range, 0);
}

/* Training mode.  next_mean and next_var are the running averages after this batch:
 * momentum * running + (1 - momentum) * the batch's.  Nothing may alias. */
static void batchnorm_forward(real *out, real *x_normalized, real *rstd, real *next_mean,
                              real *next_var, const real *x, const real *gamma, const real *beta,
                              const real *running_mean, const real *running_var, double eps,
                              double momentum, size_t N, size_t D) {
    batchnorm_job c = {
        out,          x_normalized, rstd, next_mean, next_var, x, gamma,          beta,
        running_mean, running_var,  eps,  momentum,  N,        D, slices_of(N, D)};
    fc_run(statistics_task, &c, c.slices, NULL);
    c.slices = min_size(N, ceil_div(N * D, SLICE_WORK));
    fc_run(normalize_task, &c, c.slices, NULL);
    running_average(next_mean, running_mean, rstd, momentum, D);
    running_average(next_var, running_var, rstd, momentum, D);
}

/* Test mode for some rows, `stride` elements apart, followed by ReLU if `rectified`. */
ALWAYS_INLINE void batchnorm_inference_rows(real *out, const real *x, const real *gamma,
                                            const real *beta, const real *running_mean,
                                            const real *running_var, double eps, int rectified,
                                            size_t rows, size_t D, size_t stride) {
    const vec e = vec_set((real)eps);
    EACH_VECTOR(j, D, {
        const vec mean = vec_load(running_mean + j, lanes);
        const vec deviation = vec_sqrt(vec_load(running_var + j, lanes) + e);
        const vec scale = vec_load(gamma + j, lanes), shift = vec_load(beta + j, lanes);
        for (size_t r = 0; r < rows; r++) {
            const vec normalized = (vec_load(x + r * stride + j, lanes) - mean) / deviation;
            const vec s = scale_and_shift(normalized, scale, shift);
            vec_store(out + r * stride + j, rectified ? rectify(s) : s, lanes);
        }
    });
}

static void batchnorm_inference_task(void *context, size_t range, void *scratch) {
    (void)scratch;
    const batchnorm_job *c = context;
    const size_t start = share_start(c->N, c->slices, range), D = c->D;
    EACH_ROW_BLOCK(i, share_start(c->N, c->slices, range + 1) - start, {
        const size_t at = (start + i) * D;
        batchnorm_inference_rows(c->out + at, c->x + at, c->gamma, c->beta, c->running_mean,
                                 c->running_var, c->eps, 0, rows, D, D);
    });
}

/* Test mode: normalises by the running averages instead of the batch's.  out may be x. */
static void batchnorm_inference(real *out, const real *x, const real *gamma, const real *beta,
                                const real *running_mean, const real *running_var, double eps,
                                size_t N, size_t D) {
    batchnorm_job c = {out,         NULL, NULL,
                       NULL,        NULL, x,
                       gamma,       beta, running_mean,
                       running_var, eps,  0,
                       N,           D,    min_size(N, ceil_div(N * D, SLICE_WORK))};
    fc_run(batchnorm_inference_task, &c, c.slices, NULL);
}

/* sum (D,) += rows of a, product (D,) += rows of a * b, elementwise. */
ALWAYS_INLINE void add_rows_and_products(real *sum, real *product, const real *a, const real *b,
                                         size_t rows, size_t D, size_t stride) {
    EACH_VECTOR(j, D, {
        vec s = vec_load(sum + j, lanes), p = vec_load(product + j, lanes);
        for (size_t r = 0; r < rows; r++) {
            const vec v = vec_load(a + r * stride + j, lanes);
            s += v;
            p = vec_fma(v, vec_load(b + r * stride + j, lanes), p);
        }
        vec_store(sum + j, s, lanes);
        vec_store(product + j, p, lanes);
    });
}

static void sum_block_of_products(const summed_rows *x, real *sum, real *product, size_t first,
                                  size_t rows_) {
    const size_t D = x->D, stride = x->stride;
    const real *a = x->x + first * stride, *b = x->other + first * stride;
    memset(sum, 0, D * sizeof(real));
    memset(product, 0, D * sizeof(real));
    EACH_ROW_BLOCK_AT(i, rows_, stride, {
        add_rows_and_products(sum, product, a + i * stride, b + i * stride, rows, D, stride);
    });
}

ALWAYS_INLINE vec batchnorm_dx(vec dout, vec normalized, vec shift, vec slope, vec scale) {
    return (dout - shift - normalized * slope) * scale;
}

/* Backward pass of training mode:
 *
 *   dbeta = sum of dout,   dgamma = sum of dout * x_normalized      (over the batch)
 *   dx = gamma * rstd * (dout - dbeta / N - x_normalized * dgamma / N)
 *
 * dx, dout, x_normalized: (N, D), D <= WIDEST.  All others: (D,).  dx may be dout. */
static void batchnorm_backward_columns(real *dx, real *dgamma, real *dbeta, const real *dout,
                                       const real *x_normalized, const real *rstd,
                                       const real *gamma, size_t N, size_t D, size_t stride) {
    const vec n = vec_set((real)N);
    real shift[WIDEST], slope[WIDEST], scale[WIDEST];
    sum_blocks(sum_block_of_products, &(summed_rows){dout, x_normalized, D, stride}, dbeta, dgamma,
               0, N);
    EACH_VECTOR(j, D, {
        vec_store(shift + j, vec_load(dbeta + j, lanes) / n, lanes);
        vec_store(slope + j, vec_load(dgamma + j, lanes) / n, lanes);
        vec_store(scale + j, vec_load(gamma + j, lanes) * vec_load(rstd + j, lanes), lanes);
    });
    EACH_ROW_BLOCK_AT(i, N, stride, {
        EACH_VECTOR(j, D, {
            const vec shift_j = vec_load(shift + j, lanes), slope_j = vec_load(slope + j, lanes);
            const vec scale_j = vec_load(scale + j, lanes);
            for (size_t r = 0; r < rows; r++) {
                const size_t at = (i + r) * stride + j;
                const vec d =
                    batchnorm_dx(vec_load(dout + at, lanes), vec_load(x_normalized + at, lanes),
                                 shift_j, slope_j, scale_j);
                vec_store(dx + at, d, lanes);
            }
        });
    });
}

typedef struct {
    real *dx, *dgamma, *dbeta;
    const real *dout, *x_normalized, *rstd, *gamma;
    size_t N, D, slices;
} batchnorm_backward_job;

static void batchnorm_backward_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const batchnorm_backward_job *c = context;
    const size_t at = slice_start(c->D, c->slices, slice);
    const size_t D = slice_start(c->D, c->slices, slice + 1) - at;
    batchnorm_backward_columns(c->dx + at, c->dgamma + at, c->dbeta + at, c->dout + at,
                               c->x_normalized + at, c->rstd + at, c->gamma + at, c->N, D, c->D);
}

static void batchnorm_backward(real *dx, real *dgamma, real *dbeta, const real *dout,
                               const real *x_normalized, const real *rstd, const real *gamma,
                               size_t N, size_t D) {
    batchnorm_backward_job c = {dx,   dgamma, dbeta, dout, x_normalized,
                                rstd, gamma,  N,     D,    slices_of(N, D)};
    fc_run(batchnorm_backward_task, &c, c.slices, NULL);
}

#endif
