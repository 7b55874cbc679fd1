/* Batch normalisation's statistics in a hidden layer of a network, a vector of columns at a time.
 *
 * Of a batch that several processes share, batch normalisation needs to know of all rows.  In the
 * forward pass, after the product, each process has of its rows the mean and the spread, the root
 * of sum (x - mean)^2; `exchange` makes of these (2, M) numbers the mean, variance and rstd (3, M)
 * of all rows.  In the backward pass it makes of the sums of dout and of dout * x_normalized (2, M)
 * the means over all rows; the gradients of beta and gamma stay those of own rows, as all others
 * do. */
#ifndef FASTFC_NETWORK_HIDDEN_STATISTICS_C
#define FASTFC_NETWORK_HIDDEN_STATISTICS_C

#include "fastfc.h"
#include "ops/batchnorm.c"
#include "ops/reduce.c"
#include "ops/statistics.c"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>

/* Whether a layer is normalised over rows that other processes have, too. */
static int is_shared(const fc_network *net, const fc_layer *l) {
    return net->share && net->share->statistics && l->gamma.w && !l->layernorm;
}

ALWAYS_INLINE void statistics_of_lanes(const fc_network *net, const fc_layer *l, size_t column,
                                       size_t lanes, vec *mean, vec *var) {
    const size_t N = net->N, stride = l->stride;
    const real *out = (const real *)l->out + column;
    const vec n = vec_set((real)N);
    vec sum[1] = {{0}}, squares[1] = {{0}};
    SUM_IN_BLOCKS(sum, 1, first, last, N, SUM_BLOCK, {
        for (size_t i = first; i < last; i++) sum[0] += vec_load(out + i * stride, lanes);
    });
    const vec m = sum[0] / n;
    SUM_IN_BLOCKS(squares, 1, first, last, N, SUM_BLOCK, {
        for (size_t i = first; i < last; i++) {
            const vec d = vec_load(out + i * stride, lanes) - m;
            squares[0] = vec_fma(d, d, squares[0]);
        }
    });
    *mean = m;
    *var = squares[0] / n;
}

/* Mean and variance of a vector of columns, over the rows that are here. */
NEVER_INLINE void column_statistics(const fc_network *net, const fc_layer *l, size_t column,
                                    size_t lanes, vec *mean, vec *var) {
    if (lanes == LANES)
        statistics_of_lanes(net, l, column, LANES, mean, var);
    else
        statistics_of_lanes(net, l, column, lanes, mean, var);
}

/* Sets next_mean, next_var and rstd of a vector of columns to those of the rows that are here. */
ALWAYS_INLINE void own_statistics(const fc_network *net, const fc_layer *l, size_t column,
                                  size_t lanes) {
    real *mean = (real *)l->next_mean + column, *var = (real *)l->next_var + column;
    real *rstd = (real *)l->rstd + column;
    const vec eps = vec_set((real)l->eps);
    vec m, v;
    column_statistics(net, l, column, lanes, &m, &v);
    vec_store(rstd, reciprocal_deviation(v, eps), lanes);
    vec_store(mean, m, lanes);
    vec_store(var, v, lanes);
    const unsigned lost = lost_variances(v, eps, lanes);
    if (lost)
        recover_columns(mean, var, rstd, (const real *)l->out + column, l->eps, net->N, l->stride,
                        lost);
}

/* Puts mean and spread of a vector of columns into the numbers to exchange. */
ALWAYS_INLINE void put_statistics(const fc_network *net, const fc_layer *l, size_t column,
                                  size_t lanes) {
    double *means = net->share->numbers + column, *spreads = means + l->M;
    const double n = (double)net->N;
    real mean[LANES], var[LANES], rstd[LANES];
    vec m, v;
    column_statistics(net, l, column, lanes, &m, &v);
    vec_store(rstd, reciprocal_deviation(v, vec_set(0)), lanes);
    vec_store(mean, m, lanes);
    vec_store(var, v, lanes);
    const unsigned lost = lost_variances(v, vec_set(0), lanes);
    if (lost)
        recover_columns(mean, var, rstd, (const real *)l->out + column, 0, net->N, l->stride, lost);
    for (size_t j = 0; j < lanes; j++) {
        means[j] = (double)mean[j];
        spreads[j] = lost >> j & 1 ? sqrt(n) / (double)rstd[j] : sqrt(n * (double)var[j]);
    }
}

/* Sets next_mean, next_var and rstd of a vector of columns to the numbers that came. */
ALWAYS_INLINE void take_statistics(const fc_network *net, const fc_layer *l, size_t column,
                                   size_t lanes) {
    const double *means = net->share->numbers + column, *vars = means + l->M, *rstds = vars + l->M;
    for (size_t j = 0; j < lanes; j++) {
        ((real *)l->next_mean)[column + j] = (real)means[j];
        ((real *)l->next_var)[column + j] = (real)vars[j];
        ((real *)l->rstd)[column + j] = (real)rstds[j];
    }
}

#endif
