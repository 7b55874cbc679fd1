/* Sums over the batch, one for each feature: the bias's gradient, batch normalisation's mean.
 *
 * Rows are added in order, so the bits of a feature's sum do not depend on which other features are
 * computed beside it.  Eight rows are added at a time, so that a running sum is loaded and stored
 * once for eight additions; their order is the same. */
#ifndef FASTFC_OPS_REDUCE_C
#define FASTFC_OPS_REDUCE_C

#include "simd/vec.h"

#include <stddef.h>
#include <string.h>

enum { ROWS_AT_ONCE = 8 };

/* How many of N rows, `stride` elements apart, are added by blocks of eight: none where the rows
 * fall into the same cache sets, which hold eight lines or so (blocks are half as fast at 256x1024
 * floats). */
static size_t blocked_rows(size_t N, size_t stride) {
    return stride * sizeof(real) % 2048 == 0 ? 0 : N - N % ROWS_AT_ONCE;
}

/* Runs the statements for N rows: for blocks of eight up to row `eights`, then for single rows.  In
 * them `i` is a block's first row and `rows` the number of its rows. */
#define ROW_BLOCKS(i, eights, N, ...)                                                              \
    do {                                                                                           \
        const size_t eights_ = (eights);                                                           \
        size_t i = 0;                                                                              \
        for (; i < eights_; i += ROWS_AT_ONCE) {                                                   \
            const size_t rows = ROWS_AT_ONCE;                                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        for (; i < (N); i++) {                                                                     \
            const size_t rows = 1;                                                                 \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

/* EACH_ROW_BLOCK is for computations along each row; EACH_ROW_BLOCK_AT for those down the columns,
 * whose rows are `stride` apart in memory. */
#define EACH_ROW_BLOCK(i, N, ...) ROW_BLOCKS(i, (N) - (N) % ROWS_AT_ONCE, N, __VA_ARGS__)
#define EACH_ROW_BLOCK_AT(i, N, stride, ...) ROW_BLOCKS(i, blocked_rows(N, stride), N, __VA_ARGS__)

/* sum (D,) += rows of x (rows, D), `stride` elements apart. */
ALWAYS_INLINE void add_rows(real *sum, const real *x, size_t rows, size_t D, size_t stride) {
    EACH_VECTOR(j, D, {
        vec s = vec_load(sum + j, lanes);
        for (size_t r = 0; r < rows; r++) s += vec_load(x + r * stride + j, lanes);
        vec_store(sum + j, s, lanes);
    });
}

/* sum = x.sum(axis=0).  x: (N, D), rows `stride` apart.  sum: (D,), set. */
static void sum_rows(real *sum, const real *x, size_t N, size_t D, size_t stride) {
    memset(sum, 0, D * sizeof(real));
    EACH_ROW_BLOCK_AT(i, N, stride, { add_rows(sum, x + i * stride, rows, D, stride); });
}

#endif
