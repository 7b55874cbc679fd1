/* What follows the product in a hidden layer of a network, forward and backward:
 *
 *   [normalisation] - activation - [dropout]
 *
 * Batch normalisation and what follows work on each feature by itself, so a task takes a slice of
 * columns; a vector of columns stays in L1 through all its passes over the rows.  Where gemm.c can
 * compute columns by themselves, the task first computes its columns of the product.
 *
 * Layer normalisation works on each row: there the tasks are ranges of rows, and in the backward
 * pass slices of columns follow, which add up the ranges' partial sums and the gradient of the
 * bias. Whether an element passed both ReLU and dropout is kept as one bit, in `activation_mask`.
 *
 * Activations but ReLU cost more than the loads and stores of a slice that is in cache: they and
 * dropout follow in a pass of their own, which keeps their slopes. */
#ifndef FASTFC_NETWORK_HIDDEN_C
#define FASTFC_NETWORK_HIDDEN_C

#include "fastfc.h"
#include "gemm/gemm.c"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "gemm/split_k.c"
#include "network/hidden_statistics.c"
#include "ops/activations.c"
#include "ops/batchnorm.c"
#include "ops/dropout.c"
#include "ops/layernorm.c"
#include "ops/reduce.c"
#include "ops/relu.c"
#include "ops/statistics.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const fc_network *net;
    const fc_layer *layer;
    const gemm_job *job; /* the task first computes its columns of this product, unless NULL */
    real *dout;          /* backward: the layer output's gradient; becomes that of its product */
    size_t slices;
    layernorm_backward_job rows; /* layer normalisation's, in place in dout */
} hidden_job;

/* What dropout multiplies a kept unit by; 1 without dropout. */
static real mask_scale(const fc_network *net, const fc_layer *l) {
    return l->keep ? dropout_scale(net->p, net->drop) : 1;
}

static size_t vectors_of(const fc_layer *l) { return ceil_div(l->M, LANES); }

/* How many slices of whole vectors of columns: one a vector where there are few, else about one a
 * panel of the product, so that each has WORTH elements, some microseconds of work, if possible. No
 * slice is wider than gemm_columns allows. */
static size_t hidden_slices(const fc_network *net, const fc_layer *l) {
    enum { FEW = 8, MANY = 32, WIDEST = SMALL_N / LANES, WORTH = 1 << 11 };
    const size_t vectors = vectors_of(l), needed = ceil_div(vectors, WIDEST);
    size_t slices = vectors <= FEW ? vectors : min_size(ceil_div(vectors, NV), MANY);
    slices = min_size(slices, ceil_div(net->N * l->M, WORTH));
    return slices > needed ? slices : needed;
}

/* Where the activation mask of row i, vector of columns from `column` on, is kept. */
ALWAYS_INLINE uint16_t *activation_mask_at(const fc_network *net, const fc_layer *l, size_t i,
                                           size_t column) {
    return l->activation_mask + column / LANES * fc_activation_mask_rows(net->N) + i;
}

/* ReLU and dropout of one vector, row i from `column` on: sets out and the activation mask. */
ALWAYS_INLINE void rectify_and_drop(const fc_network *net, const fc_layer *l, size_t i,
                                    size_t column, vec v, vec scale, size_t lanes) {
    const vec zero = {0};
    ivec passes = v >= zero;
    v = rectify(v);
    if (l->keep) {
        const ivec kept = vec_mask_of_bytes(l->keep + i * l->M + column);
        passes &= kept;
        v *= (vec)(kept & (ivec)scale);
    }
    *activation_mask_at(net, l, i, column) = vec_bits(passes);
    vec_store((real *)l->out + i * l->stride + column, v, lanes);
}

/* Stores what the activation is of; where that is ReLU, `rectified`, it and dropout follow at once.
 */
ALWAYS_INLINE void put_preactivation(const fc_network *net, const fc_layer *l, size_t i,
                                     size_t column, vec v, vec scale, size_t lanes,
                                     const int rectified) {
    if (rectified)
        rectify_and_drop(net, l, i, column, v, scale, lanes);
    else
        vec_store((real *)l->out + i * l->stride + column, v, lanes);
}

ALWAYS_INLINE vec drop(const fc_layer *l, size_t i, size_t column, vec v, vec scale) {
    return v * (vec)(vec_mask_of_bytes(l->keep + i * l->M + column) & (ivec)scale);
}

/* The rest of put_preactivation, for D columns of some rows: any activation but ReLU, and dropout.
 */
NEVER_INLINE void activate_and_drop(const fc_network *net, const fc_layer *l, size_t first,
                                    size_t rows, size_t column, size_t D) {
    const size_t at = first * l->stride + column;
    real *out = (real *)l->out + at;
    if (l->activation != FC_IDENTITY)
        activate(l->activation, out, (real *)l->slope + at, out, rows, D, l->stride);
    if (!l->keep) return;
    const vec scale = vec_set(mask_scale(net, l));
    for (size_t i = 0; i < rows; i++, out += l->stride)
        EACH_VECTOR(j, D, {
            const vec v = drop(l, first + i, column + j, vec_load(out + j, lanes), scale);
            vec_store(out + j, v, lanes);
        });
}

/* The gradient d of a layer's output, back through dropout and the activation. */
ALWAYS_INLINE vec preactivation_gradient(const fc_network *net, const fc_layer *l, size_t i,
                                         size_t column, vec d, vec scale, size_t lanes,
                                         const int rectified) {
    if (rectified) {
        const uint16_t bits = *activation_mask_at(net, l, i, column);
        return d * (vec)(vec_mask_of_bits(bits) & (ivec)scale);
    }
    if (l->keep) d = drop(l, i, column, d, scale);
    if (l->activation == FC_IDENTITY) return d;
    return d * vec_load((const real *)l->slope + i * l->stride + column, lanes);
}

/* What follows the statistics of a vector of columns, which stand in next_mean and rstd. */
ALWAYS_INLINE void normalize_columns(const fc_network *net, const fc_layer *l, size_t column,
                                     size_t lanes, const int beyond, const int rectified) {
    const real *out = (const real *)l->out + column;
    real *normalized = (real *)l->x_normalized + column;
    const vec scale = vec_set(mask_scale(net, l));
    const vec mean = vec_load((const real *)l->next_mean + column, lanes);
    const vec rstd = vec_load((const real *)l->rstd + column, lanes);
    const vec gamma = vec_load((const real *)l->gamma.w + column, lanes);
    const vec beta = vec_load((const real *)l->beta.w + column, lanes);
    for (size_t i = 0; i < net->N; i++) {
        const vec hat = normalize(vec_load(out + i * l->stride, lanes), mean, rstd, beyond);
        vec_store(normalized + i * l->stride, hat, lanes);
        const vec v = scale_and_shift(hat, gamma, beta);
        put_preactivation(net, l, i, column, v, scale, lanes, rectified);
    }
}

ALWAYS_INLINE void forward_columns(const fc_network *net, const fc_layer *l, size_t column,
                                   size_t lanes, const int rectified) {
    const size_t N = net->N, stride = l->stride;
    if (!l->gamma.w) {
        const real *out = (const real *)l->out + column;
        const vec scale = vec_set(mask_scale(net, l));
        for (size_t i = 0; i < N; i++)
            rectify_and_drop(net, l, i, column, vec_load(out + i * stride, lanes), scale, lanes);
        return;
    }
    if (is_shared(net, l))
        take_statistics(net, l, column, lanes);
    else
        own_statistics(net, l, column, lanes);
    real *mean = (real *)l->next_mean + column, *var = (real *)l->next_var + column;
    const real *rstd = (const real *)l->rstd + column;
    if (any_beyond(rstd, lanes))
        normalize_columns(net, l, column, lanes, 1, rectified);
    else
        normalize_columns(net, l, column, lanes, 0, rectified);
    running_average(mean, (const real *)l->running_mean + column, rstd, l->momentum, lanes);
    running_average(var, (const real *)l->running_var + column, rstd, l->momentum, lanes);
}

/* Computes a slice's columns of the product, if that is left to the task. */
static void make_columns(const hidden_job *c, size_t first, size_t columns, void *scratch) {
    const gemm_job *p = c->job;
    if (p && is_split_k(p))
        split_k_reduce(p, 0, p->m, first, columns);
    else if (p)
        gemm_columns(p, first, columns, scratch);
}

static void statistics_slice_task(void *context, size_t slice, void *scratch) {
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t first = slice_start(l->M, c->slices, slice);
    const size_t D = slice_start(l->M, c->slices, slice + 1) - first;
    make_columns(c, first, D, scratch);
    EACH_VECTOR(j, D, { put_statistics(c->net, l, first + j, lanes); });
}

static void forward_slice_task(void *context, size_t slice, void *scratch) {
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t first = slice_start(l->M, c->slices, slice);
    const size_t D = slice_start(l->M, c->slices, slice + 1) - first;
    make_columns(c, first, D, scratch);
    if (l->activation == FC_RELU) {
        EACH_VECTOR(j, D, { forward_columns(c->net, l, first + j, lanes, 1); });
        return;
    }
    if (l->gamma.w) EACH_VECTOR(j, D, { forward_columns(c->net, l, first + j, lanes, 0); });
    activate_and_drop(c->net, l, 0, c->net->N, first, D);
}

/* What follows a row's statistics. */
ALWAYS_INLINE void normalize_hidden_row(const fc_network *net, const fc_layer *l, size_t i,
                                        real mean, real rstd, vec scale, const int beyond,
                                        const int rectified) {
    const real *gamma = l->gamma.w, *beta = l->beta.w, *out = (const real *)l->out + i * l->stride;
    real *normalized = (real *)l->x_normalized + i * l->stride;
    EACH_VECTOR(j, l->M, {
        vec hat = normalize(vec_load(out + j, lanes), vec_set(mean), vec_set(rstd), beyond);
        vec_store(normalized + j, hat, lanes);
        vec v = scale_and_shift(hat, vec_load(gamma + j, lanes), vec_load(beta + j, lanes));
        put_preactivation(net, l, i, j, v, scale, lanes, rectified);
    });
}

ALWAYS_INLINE void forward_rows(const fc_network *net, const fc_layer *l, size_t first, size_t end,
                                const int rectified) {
    const size_t M = l->M;
    const vec scale = vec_set(mask_scale(net, l));
    EACH_ROW_BLOCK(i, end - first, {
        real mean[ROWS_AT_ONCE], *rstd = (real *)l->rstd + first + i;
        const real *block = (const real *)l->out + (first + i) * l->stride;
        statistics_rows(mean, rstd, block, l->eps, rows, M, l->stride);
        const int beyond = any_beyond(rstd, rows);
        for (size_t r = 0; r < rows; r++)
            if (beyond)
                normalize_hidden_row(net, l, first + i + r, mean[r], rstd[r], scale, 1, rectified);
            else
                normalize_hidden_row(net, l, first + i + r, mean[r], rstd[r], scale, 0, rectified);
        if (!rectified) activate_and_drop(net, l, first + i, rows, 0, M);
    });
}

static void forward_rows_task(void *context, size_t range, void *scratch) {
    (void)scratch;
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t N = c->net->N, ranges = ranges_of(N, l->M);
    const size_t first = share_start(N, ranges, range), end = share_start(N, ranges, range + 1);
    if (l->activation == FC_RELU)
        forward_rows(c->net, l, first, end, 1);
    else
        forward_rows(c->net, l, first, end, 0);
}

/* p: the layer's product, as far as it is not complete: tasks add up split-K's partial sums, or
 * compute its columns.  NULL: out is complete. */
static void hidden_forward(const fc_network *net, const fc_layer *l, const gemm_job *p) {
    hidden_job job = {.net = net, .layer = l, .job = p, .slices = hidden_slices(net, l)};
    void *scratch = (char *)net->workspace + FC_SHARED_BYTES;
    if (l->gamma.w && l->layernorm) {
        fc_run(forward_rows_task, &job, ranges_of(net->N, l->M), scratch);
        return;
    }
    if (is_shared(net, l)) {
        fc_run(statistics_slice_task, &job, job.slices, scratch);
        net->share->exchange(net->share->context, FC_STATISTICS, l, net->share->numbers);
        job.job = NULL; /* the columns are there */
    }
    fc_run(forward_slice_task, &job, job.slices, scratch);
}

ALWAYS_INLINE void center_lanes(const fc_network *net, const fc_layer *l, real *dout, size_t column,
                                size_t lanes, vec shift, vec slope) {
    const size_t stride = l->stride;
    const real *normalized = (const real *)l->x_normalized + column;
    const vec gamma = vec_load((const real *)l->gamma.w + column, lanes);
    const vec factor = gamma * vec_load((const real *)l->rstd + column, lanes);
    vec sum[1] = {{0}};
    SUM_IN_BLOCKS(sum, 1, first, last, net->N, SUM_BLOCK, {
        for (size_t i = first; i < last; i++) {
            const vec d =
                batchnorm_dx(vec_load(dout + i * stride, lanes),
                             vec_load(normalized + i * stride, lanes), shift, slope, factor);
            vec_store(dout + i * stride, d, lanes);
            sum[0] += d;
        }
    });
    vec_store((real *)l->b.dw + column, sum[0], lanes);
}

/* The gradient of batch normalisation's input, in the place of dout; shift and slope: the means of
 * dout and of dout * x_normalized over the batch. */
NEVER_INLINE void center_columns(const fc_network *net, const fc_layer *l, real *dout,
                                 size_t column, size_t lanes, vec shift, vec slope) {
    if (lanes == LANES)
        center_lanes(net, l, dout, column, LANES, shift, slope);
    else
        center_lanes(net, l, dout, column, lanes, shift, slope);
}

ALWAYS_INLINE void backward_columns(const fc_network *net, const fc_layer *l, real *dout,
                                    size_t column, size_t lanes, const int rectified) {
    const size_t N = net->N, stride = l->stride;
    const real *normalized = (const real *)l->x_normalized + column;
    const vec scale = vec_set(mask_scale(net, l));
    vec sum[2] = {{0}}; /* of dout, and of its products with x_normalized */
    SUM_IN_BLOCKS(sum, 2, first, last, N, SUM_BLOCK, {
        for (size_t i = first; i < last; i++) {
            const vec d = preactivation_gradient(
                net, l, i, column, vec_load(dout + i * stride, lanes), scale, lanes, rectified);
            vec_store(dout + i * stride, d, lanes);
            sum[0] += d;
            if (l->gamma.w) sum[1] = vec_fma(d, vec_load(normalized + i * stride, lanes), sum[1]);
        }
    });
    if (!l->gamma.w) {
        vec_store((real *)l->b.dw + column, sum[0], lanes);
        return;
    }
    vec_store((real *)l->beta.dw + column, sum[0], lanes);
    vec_store((real *)l->gamma.dw + column, sum[1], lanes);
    const vec n = vec_set((real)N);
    if (!is_shared(net, l)) center_columns(net, l, dout, column, lanes, sum[0] / n, sum[1] / n);
}

/* Columns whose means over the batch have come. */
static void center_slice_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const double *shifts = c->net->share->numbers, *slopes = shifts + l->M;
    const size_t first = slice_start(l->M, c->slices, slice);
    const size_t D = slice_start(l->M, c->slices, slice + 1) - first;
    EACH_VECTOR(j, D, {
        const size_t column = first + j;
        real shift[LANES], slope[LANES];
        for (size_t k = 0; k < lanes; k++) {
            shift[k] = (real)shifts[column + k];
            slope[k] = (real)slopes[column + k];
        }
        center_columns(c->net, l, c->dout + column, column, lanes, vec_load(shift, lanes),
                       vec_load(slope, lanes));
    });
}

/* Exchanges the sums of dout, and of dout * x_normalized, that the gradients of beta and gamma
 * hold, and goes on with their means. */
static void center_shared(const hidden_job *c, void *scratch) {
    const fc_layer *l = c->layer;
    const fc_share *share = c->net->share;
    for (size_t j = 0; j < l->M; j++) {
        share->numbers[j] = (double)((const real *)l->beta.dw)[j];
        share->numbers[l->M + j] = (double)((const real *)l->gamma.dw)[j];
    }
    share->exchange(share->context, FC_SUMS, l, share->numbers);
    fc_run(center_slice_task, (void *)c, c->slices, scratch);
}

static void backward_slice_task(void *context, size_t slice, void *scratch) {
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t first = slice_start(l->M, c->slices, slice);
    const size_t D = slice_start(l->M, c->slices, slice + 1) - first;
    make_columns(c, first, D, scratch);
    real *dout = c->dout + first;
    if (l->activation == FC_RELU)
        EACH_VECTOR(j, D, { backward_columns(c->net, l, dout + j, first + j, lanes, 1); });
    else
        EACH_VECTOR(j, D, { backward_columns(c->net, l, dout + j, first + j, lanes, 0); });
}

ALWAYS_INLINE void backward_row(const fc_network *net, const fc_layer *l, real *dout, size_t i,
                                vec scale, const int rectified) {
    EACH_VECTOR(j, l->M, {
        const vec d = preactivation_gradient(net, l, i, j, vec_load(dout + j, lanes), scale, lanes,
                                             rectified);
        vec_store(dout + j, d, lanes);
    });
}

static void backward_rows_task(void *context, size_t range, void *scratch) {
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t end = share_start(c->rows.N, c->rows.ranges, range + 1);
    const vec scale = vec_set(mask_scale(c->net, l));
    for (size_t i = share_start(c->rows.N, c->rows.ranges, range); i < end; i++) {
        real *dout = c->dout + i * l->stride;
        if (l->activation == FC_RELU)
            backward_row(c->net, l, dout, i, scale, 1);
        else
            backward_row(c->net, l, dout, i, scale, 0);
    }
    layernorm_backward_task((void *)&c->rows, range, scratch);
}

static void backward_sums_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const hidden_job *c = context;
    const fc_layer *l = c->layer;
    const size_t first = slice_start(l->M, c->slices, slice);
    const size_t D = slice_start(l->M, c->slices, slice + 1) - first;
    add_partial_sums(&c->rows, first, D);
    sum_rows((real *)l->b.dw + first, c->dout + first, c->net->N, D, l->stride);
}

/* dout: the product p, as in hidden_forward. */
static void hidden_backward(const fc_network *net, const fc_layer *l, real *dout,
                            const gemm_job *p) {
    const size_t N = net->N, M = l->M;
    hidden_job job = {
        .net = net, .layer = l, .job = p, .dout = dout, .slices = hidden_slices(net, l)};
    void *scratch = (char *)net->workspace + FC_SHARED_BYTES;
    if (l->gamma.w && l->layernorm) {
        job.rows = (layernorm_backward_job){dout,       l->gamma.dw,
                                            l->beta.dw, net->workspace,
                                            dout,       l->x_normalized,
                                            l->rstd,    l->gamma.w,
                                            N,          M,
                                            l->stride,  backward_ranges_of(N, M)};
        fc_run(backward_rows_task, &job, job.rows.ranges, scratch);
        fc_run(backward_sums_task, &job, job.slices, scratch);
    } else {
        fc_run(backward_slice_task, &job, job.slices, scratch);
        if (is_shared(net, l)) center_shared(&job, scratch);
    }
}

#endif
