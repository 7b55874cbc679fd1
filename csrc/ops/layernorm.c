/* Layer normalisation, per example over its features (Ba, Kiros & Hinton 2016):
 *
 *   out = gamma * x_normalized + beta,   x_normalized = (x - mean) * rstd,
 *   rstd = 1 / sqrt(var + eps)
 *
 * out, x_normalized, x: (N, D).  rstd: (N,).  gamma, beta: (D,).  mean and var, the biased one, are
 * those of a row.  x_normalized and rstd are kept for the backward pass.  D >= 1.
 * Mean first, then variance, as in batchnorm.c.
 *
 * Rows are independent of each other, so tasks are ranges of rows.  Up to eight rows are computed
 * at a time, so that the processor overlaps their sums; a row's bits do not depend on its
 * neighbours.  A row's sums go in blocks of vectors, in the order of reduce.c; where its squares
 * overflow the statistics are computed again, by statistics.c.
 *
 * dgamma and dbeta are sums over the batch.  Each range of rows of the backward pass has its own
 * partial sums, which are added at the end; shape alone decides the ranges.  Sums of a range and of
 * all ranges go in blocks, as in reduce.c.  Blocks of a range need scratch memory.  Where that
 * ends, at the earliest for D above 32768 doubles or 65536 floats, the sums are computed before the
 * rows and by slices of columns, as batchnorm.c does.  Doing so always, in tasks beside those of
 * the rows, made the pass take 350 instead of 155 us for (256, 1024) floats. */
#ifndef FASTFC_OPS_LAYERNORM_C
#define FASTFC_OPS_LAYERNORM_C

#include "fastfc.h"
#include "gemm/macro_kernel.c"
#include "ops/batchnorm.c"
#include "ops/reduce.c"
#include "ops/relu.c"
#include "ops/statistics.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <string.h>

/* How many ranges N rows are cut into. */
static size_t ranges_of(size_t N, size_t D) { return min_size(N, ceil_div(N * D, SLICE_WORK)); }

/* Sums over a row: a block is one of vectors. */
enum { FEATURES_BLOCK = SUM_BLOCK * LANES };

/* Those rows whose bits are set in `lost`. */
static void recover_rows(real *mean, real *rstd, const real *x, double eps, size_t D, size_t stride,
                         unsigned lost) {
    real var;
    for (size_t r = 0; lost >> r; r++)
        if (lost >> r & 1) scaled_statistics(mean + r, &var, rstd + r, x + r * stride, eps, D, 1);
}

ALWAYS_INLINE void statistics_some_rows(real *mean, real *rstd, const real *x, double eps,
                                        size_t rows, size_t D, size_t stride) {
    const vec e = vec_set((real)eps);
    vec sum[ROWS_AT_ONCE] = {{0}}, square[ROWS_AT_ONCE] = {{0}};
    SUM_IN_BLOCKS(sum, ROWS_AT_ONCE, first, last, D, FEATURES_BLOCK, {
        EACH_VECTOR(j, last - first, {
            for (size_t r = 0; r < rows; r++) sum[r] += vec_load(x + r * stride + first + j, lanes);
        });
    });
    for (size_t r = 0; r < rows; r++) mean[r] = vec_reduce_add(sum[r]) / (real)D;
    SUM_IN_BLOCKS(square, ROWS_AT_ONCE, first, last, D, FEATURES_BLOCK, {
        EACH_VECTOR(j, last - first, {
            for (size_t r = 0; r < rows; r++) {
                vec d = vec_load(x + r * stride + first + j, lanes) - vec_set(mean[r]);
                d = vec_fill_rest(d, lanes, 0);
                square[r] = vec_fma(d, d, square[r]);
            }
        });
    });
    for (size_t r = 0; r < rows; r++) rstd[r] = vec_reduce_add(square[r]) / (real)D;
    EACH_VECTOR(r, rows, {
        const vec var = vec_load(rstd + r, lanes);
        const unsigned lost = lost_variances(var, e, lanes);
        vec_store(rstd + r, vec_set(1) / vec_sqrt(var + e), lanes);
        if (lost) recover_rows(mean + r, rstd + r, x + r * stride, eps, D, stride, lost);
    });
}

/* mean and rstd (rows,) of the rows of x: a block of eight, or one. */
NEVER_INLINE void statistics_rows(real *mean, real *rstd, const real *x, double eps, size_t rows,
                                  size_t D, size_t stride) {
    if (rows == ROWS_AT_ONCE)
        statistics_some_rows(mean, rstd, x, eps, ROWS_AT_ONCE, D, stride);
    else
        statistics_some_rows(mean, rstd, x, eps, 1, D, stride);
}

typedef struct {
    real *out, *x_normalized, *rstd;
    const real *x, *gamma, *beta;
    double eps;
    size_t N, D, ranges;
} layernorm_job;

/* The row that begins at `row`. */
ALWAYS_INLINE void normalize_row(const layernorm_job *c, size_t row, real mean, real rstd,
                                 const int beyond) {
    EACH_VECTOR(j, c->D, {
        vec n = normalize(vec_load(c->x + row + j, lanes), vec_set(mean), vec_set(rstd), beyond);
        vec_store(c->x_normalized + row + j, n, lanes);
        vec s = scale_and_shift(n, vec_load(c->gamma + j, lanes), vec_load(c->beta + j, lanes));
        vec_store(c->out + row + j, s, lanes);
    });
}

static void layernorm_forward_task(void *context, size_t range, void *scratch) {
    (void)scratch;
    const layernorm_job *c = context;
    const size_t first = share_start(c->N, c->ranges, range), D = c->D;
    const size_t N = share_start(c->N, c->ranges, range + 1) - first;
    EACH_ROW_BLOCK(i, N, {
        real mean[ROWS_AT_ONCE], *rstd = c->rstd + first + i;
        const size_t block = (first + i) * D;
        statistics_rows(mean, rstd, c->x + block, c->eps, rows, D, D);
        const int beyond = any_beyond(rstd, rows);
        for (size_t r = 0; r < rows; r++)
            if (beyond)
                normalize_row(c, block + r * D, mean[r], rstd[r], 1);
            else
                normalize_row(c, block + r * D, mean[r], rstd[r], 0);
    });
}

/* Nothing may alias. */
static void layernorm_forward(real *out, real *x_normalized, real *rstd, const real *x,
                              const real *gamma, const real *beta, double eps, size_t N, size_t D) {
    layernorm_job c = {out, x_normalized, rstd, x, gamma, beta, eps, N, D, ranges_of(N, D)};
    fc_run(layernorm_forward_task, &c, c.ranges, NULL);
}

ALWAYS_INLINE void normalize_rows(real *x, const real *mean, const real *rstd, const real *gamma,
                                  const real *beta, int rectified, size_t rows, size_t D,
                                  size_t stride, const int beyond) {
    EACH_VECTOR(j, D, {
        const vec scale = vec_load(gamma + j, lanes), shift = vec_load(beta + j, lanes);
        for (size_t r = 0; r < rows; r++) {
            real *at = x + r * stride + j;
            const vec n =
                normalize(vec_load(at, lanes), vec_set(mean[r]), vec_set(rstd[r]), beyond);
            const vec s = scale_and_shift(n, scale, shift);
            vec_store(at, rectified ? rectify(s) : s, lanes);
        }
    });
}

/* Forward for up to eight rows, in place, followed by ReLU if `rectified`; nothing is kept for a
 * backward pass. */
ALWAYS_INLINE void layernorm_inference_rows(real *x, const real *gamma, const real *beta,
                                            double eps, int rectified, size_t rows, size_t D,
                                            size_t stride) {
    real mean[ROWS_AT_ONCE], rstd[ROWS_AT_ONCE];
    statistics_rows(mean, rstd, x, eps, rows, D, stride);
    if (any_beyond(rstd, rows))
        normalize_rows(x, mean, rstd, gamma, beta, rectified, rows, D, stride, 1);
    else
        normalize_rows(x, mean, rstd, gamma, beta, rectified, rows, D, stride, 0);
}

/* How many ranges the backward pass cuts the rows into.  The partial sums of the first are in
 * dgamma and dbeta, those of all others in the workspace, which limits their number.  Without rows
 * there is still one range, which sets dgamma and dbeta to zero. */
enum { RANGE_WORK = 1 << 15 };

static size_t backward_ranges_of(size_t N, size_t D) {
    const size_t room = 1 + SHARED_REALS / (2 * D);
    return N ? min_size(min_size(N, room), ceil_div(N * D, RANGE_WORK)) : 1;
}

/* dx of up to eight rows: sum[r] and sum[ROWS_AT_ONCE + r] hold the vectors of sums of g, and of
 * its products with x_normalized, of row r. */
NEVER_INLINE void layernorm_dx(real *dx, const real *dout, const real *x_normalized,
                               const real *rstd, const real *gamma, const vec *sum, size_t rows,
                               size_t D, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        const vec shift = vec_set(vec_reduce_add(sum[r]) / (real)D);
        const vec slope = vec_set(vec_reduce_add(sum[ROWS_AT_ONCE + r]) / (real)D);
        const size_t row = r * stride;
        EACH_VECTOR(j, D, {
            vec g = vec_load(gamma + j, lanes) * vec_load(dout + row + j, lanes) - shift;
            g -= vec_load(x_normalized + row + j, lanes) * slope;
            vec_store(dx + row + j, g * vec_set(rstd[r]), lanes);
        });
    }
}

/* Backward pass of some rows:
 *
 *   dbeta = sum of dout,   dgamma = sum of dout * x_normalized                    (over the rows)
 *   g = gamma * dout,   shift = mean of g,   slope = mean of g * x_normalized     (over a row)
 *   dx = rstd * (g - shift - x_normalized * slope)
 *
 * dx, dout, x_normalized: (N, D), rows `stride` apart.  rstd: (N,).  gamma, dgamma, dbeta: (D,).
 * dx may be dout.  summed: dgamma and dbeta are computed, and not only dx. */
ALWAYS_INLINE void layernorm_backward_some(real *dx, real *dgamma, real *dbeta, const real *dout,
                                           const real *x_normalized, const real *rstd,
                                           const real *gamma, size_t N, size_t D, size_t stride,
                                           const int summed) {
    enum { SUMS = 2 * ROWS_AT_ONCE }; /* of g, and of its products with x_normalized */
    if (summed) {
        memset(dgamma, 0, D * sizeof(real));
        memset(dbeta, 0, D * sizeof(real));
    }
    EACH_ROW_BLOCK(i, N, {
        vec sum[SUMS] = {{0}};
        SUM_IN_BLOCKS(sum, SUMS, first, last, D, FEATURES_BLOCK, {
            EACH_VECTOR(k, last - first, {
                const size_t j = first + k;
                const vec scale = vec_load(gamma + j, lanes);
                vec columns = vec_set(0), products = vec_set(0);
                if (summed) {
                    columns = vec_load(dbeta + j, lanes);
                    products = vec_load(dgamma + j, lanes);
                }
                for (size_t r = 0; r < rows; r++) {
                    const size_t at = (i + r) * stride + j;
                    vec d = vec_load(dout + at, lanes), n = vec_load(x_normalized + at, lanes);
                    vec g = scale * d;
                    columns += d;
                    products = vec_fma(d, n, products);
                    sum[r] += g;
                    sum[ROWS_AT_ONCE + r] = vec_fma(g, n, sum[ROWS_AT_ONCE + r]);
                }
                if (summed) {
                    vec_store(dbeta + j, columns, lanes);
                    vec_store(dgamma + j, products, lanes);
                }
            });
        });
        const size_t row = i * stride;
        layernorm_dx(dx + row, dout + row, x_normalized + row, rstd + i, gamma, sum, rows, D,
                     stride);
    });
}

/* Not part of the function below, whose calls of itself would each need their stack. */
NEVER_INLINE void layernorm_backward_block(real *dx, real *dgamma, real *dbeta, const real *dout,
                                           const real *x_normalized, const real *rstd,
                                           const real *gamma, size_t N, size_t D, size_t stride) {
    layernorm_backward_some(dx, dgamma, dbeta, dout, x_normalized, rstd, gamma, N, D, stride, 1);
}

/* The same for more rows than a block's: the sums first, since dx may be dout. */
NEVER_INLINE void layernorm_backward_wide(real *dx, real *dgamma, real *dbeta, const real *dout,
                                          const real *x_normalized, const real *rstd,
                                          const real *gamma, size_t N, size_t D, size_t stride) {
    for (size_t j = 0; j < D; j += SUM_COLUMNS) {
        const summed_rows rows = {dout + j, x_normalized + j, min_size(D - j, SUM_COLUMNS), stride};
        sum_blocks(sum_block_of_products, &rows, dbeta + j, dgamma + j, 0, N);
    }
    layernorm_backward_some(dx, NULL, NULL, dout, x_normalized, rstd, gamma, N, D, stride, 0);
}

/* The same, block by block.  room: space for sums of blocks, as far as it reaches. */
static void layernorm_backward_rows(real *dx, real *dgamma, real *dbeta, const real *dout,
                                    const real *x_normalized, const real *rstd, const real *gamma,
                                    size_t N, size_t D, size_t stride, real *room, size_t reals) {
    if (N <= SUM_BLOCK) {
        layernorm_backward_block(dx, dgamma, dbeta, dout, x_normalized, rstd, gamma, N, D, stride);
        return;
    }
    if (reals < 2 * D) {
        layernorm_backward_wide(dx, dgamma, dbeta, dout, x_normalized, rstd, gamma, N, D, stride);
        return;
    }
    const size_t half = first_half(N, SUM_BLOCK), at = half * stride;
    layernorm_backward_rows(dx, dgamma, dbeta, dout, x_normalized, rstd, gamma, half, D, stride,
                            room, reals);
    layernorm_backward_rows(dx + at, room, room + D, dout + at, x_normalized + at, rstd + half,
                            gamma, N - half, D, stride, room + 2 * D, reals - 2 * D);
    add_rows(dgamma, room, 1, D, 0);
    add_rows(dbeta, room + D, 1, D, 0);
}

typedef struct {
    real *dx, *dgamma, *dbeta, *partial;
    const real *dout, *x_normalized, *rstd, *gamma;
    size_t N, D, stride, ranges;
} layernorm_backward_job;

/* Where the partial sums of a range, not the first, are: dgamma, then dbeta. */
static real *partial_sums(real *partial, size_t range, size_t D) {
    return partial + (range - 1) * 2 * D;
}

static void layernorm_backward_task(void *context, size_t range, void *scratch) {
    const layernorm_backward_job *c = context;
    const size_t first = share_start(c->N, c->ranges, range), D = c->D, at = first * c->stride;
    real *dgamma = range ? partial_sums(c->partial, range, D) : c->dgamma;
    real *dbeta = range ? dgamma + D : c->dbeta;
    layernorm_backward_rows(c->dx + at, dgamma, dbeta, c->dout + at, c->x_normalized + at,
                            c->rstd + first, c->gamma,
                            share_start(c->N, c->ranges, range + 1) - first, D, c->stride, scratch,
                            FC_SCRATCH_BYTES / sizeof(real));
}

/* Some columns of dgamma or dbeta += the other ranges' sums, which stand in rows of 2 D. */
static void add_ranges(real *sum, const real *partial, size_t ranges, size_t columns, size_t D) {
    real others[SUM_COLUMNS];
    for (size_t j = 0; ranges > 1 && j < columns; j += SUM_COLUMNS) {
        const size_t width = min_size(columns - j, SUM_COLUMNS);
        sum_rows(others, partial + j, ranges - 1, width, 2 * D);
        add_rows(sum + j, others, 1, width, 0);
    }
}

/* Adds the partial sums of all ranges but the first to columns first to first + D - 1 of dgamma and
 * dbeta, which hold the first's. */
static void add_partial_sums(const layernorm_backward_job *c, size_t first, size_t D) {
    add_ranges(c->dgamma + first, c->partial + first, c->ranges, D, c->D);
    add_ranges(c->dbeta + first, c->partial + c->D + first, c->ranges, D, c->D);
}

/* Nothing may alias, except dx and dout.  workspace: FC_WORKSPACE_BYTES. */
static void layernorm_backward(real *dx, real *dgamma, real *dbeta, const real *dout,
                               const real *x_normalized, const real *rstd, const real *gamma,
                               size_t N, size_t D, void *workspace) {
    layernorm_backward_job c = {dx,   dgamma, dbeta, workspace, dout, x_normalized,
                                rstd, gamma,  N,     D,         D,    backward_ranges_of(N, D)};
    fc_run(layernorm_backward_task, &c, c.ranges, (char *)workspace + FC_SHARED_BYTES);
    add_partial_sums(&c, 0, D);
}

#endif
