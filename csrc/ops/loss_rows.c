/* What all losses of scores x (N, C) share: examples have weights, and the loss is their mean,
 *
 *   loss = sum_i w_i l_i / sum_i w_i,   dx its gradient with respect to x.
 *
 * With a total in fc_loss the rows are some of more, and both are divided by that sum of all their
 * weights.  Without weights each w_i is 1, and weights of 1 give the same bits.  Sums over the
 * batch go in blocks of LOSS_BLOCK examples, and the blocks' sums in the order of reduce.c; those
 * over a row's scores go in blocks of vectors. */
#ifndef FASTFC_OPS_LOSS_ROWS_C
#define FASTFC_OPS_LOSS_ROWS_C

#include "fastfc.h"
#include "ops/reduce.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Sums over a row: a block is one of vectors.  Blocks of examples are as small as a task may be
 * that takes some of them through a whole network (network/rows.c). */
enum { CLASSES_BLOCK = SUM_BLOCK * LANES, LOSS_BLOCK = 16 };

typedef struct {
    real *dx;
    const real *x;
    const fc_loss *loss;
    double weights; /* their sum, N where there are none; or the total */
    size_t N, C;
    double *sums; /* of each block's losses, where they are not all computed in one go */
} loss_job;

/* dx of some rows, and the sum of their losses. */
typedef double (*loss_of_rows)(const loss_job *c, size_t first, size_t rows);

static double sum_losses(loss_of_rows run, const loss_job *c, size_t first, size_t N) {
    if (N <= LOSS_BLOCK) return run(c, first, N);
    if (N > SUM_LOOK && fc_look()) return 0;
    const size_t half = first_half(N, LOSS_BLOCK);
    const double sum = sum_losses(run, c, first, half);
    return sum + sum_losses(run, c, first + half, N - half);
}

static double sum_weights(const double *weights, size_t N) {
    if (N <= SUM_BLOCK) {
        double sum = 0;
        for (size_t i = 0; i < N; i++) sum += weights[i];
        return sum;
    }
    const size_t half = first_half(N, SUM_BLOCK);
    const double sum = sum_weights(weights, half);
    return sum + sum_weights(weights + half, N - half);
}

ALWAYS_INLINE double row_weight(const loss_job *c, size_t i) {
    return c->loss->weights ? c->loss->weights[i] : 1;
}

/* What row i's gradient is divided by: infinite where its weight is 0. */
ALWAYS_INLINE double row_divisor(const loss_job *c, size_t i) {
    return c->loss->weights ? c->weights / c->loss->weights[i] : c->weights;
}

static loss_job make_loss_job(real *dx, const real *x, const fc_loss *loss, size_t N, size_t C) {
    const double own = loss->weights ? sum_weights(loss->weights, N) : (double)N;
    const double weights = loss->total > 0 ? loss->total : own;
    return (loss_job){dx, x, loss, weights, N, C, NULL};
}

/* The loss of all rows, of which `run` does some. */
static double mean_loss(loss_of_rows run, const loss_job *c) {
    return sum_losses(run, c, 0, c->N) / c->weights;
}

/* dx of the blocks of rows first to end - 1, and their sums; first is a multiple of LOSS_BLOCK. */
static void loss_of_blocks(loss_of_rows run, const loss_job *c, size_t first, size_t end) {
    for (size_t i = first; i < end; i += LOSS_BLOCK)
        c->sums[i / LOSS_BLOCK] = run(c, i, min_size(end - i, LOSS_BLOCK));
}

/* What mean_loss is given after that. */
static double known_loss(const loss_job *c, size_t first, size_t rows) {
    (void)rows;
    return c->sums[first / LOSS_BLOCK];
}

#endif
