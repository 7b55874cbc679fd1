/* Sums over the batch, one for each feature: the bias's gradient, batch normalisation's mean; and
 * the order of every long sum.
 *
 * Terms are added one after the other in blocks of SUM_BLOCK, counted from the first, and the
 * blocks' sums pairwise: those of the first 2^k blocks, where 2^k is the greatest power of two
 * below their number, and those of the rest, each in the same way.  The sum of n terms then errs by
 * less than
 *
 *   (SUM_BLOCK + log2(n / SUM_BLOCK)) u sum |term|,   u the unit roundoff,
 *
 * where one after the other it would be n u sum |term|  (Higham, Accuracy and Stability of
 * Numerical Algorithms, 2nd ed., section 4.2).  The order is given by n alone, so a feature's sum
 * is the same whichever features are computed with it, and by whichever of the functions here.
 *
 * Eight rows are added at a time, so that a running sum is loaded and stored once for eight
 * additions; their order is the same. */
#ifndef FASTFC_OPS_REDUCE_C
#define FASTFC_OPS_REDUCE_C

#include "fastfc.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <string.h>

enum { ROWS_AT_ONCE = 8 };

/* SUM_COLUMNS: sums that are taken side by side where there are several blocks.  SUM_LEVELS: 2^40
 * blocks of floats are more than a process can address. */
enum { SUM_BLOCK = 128, SUM_COLUMNS = 256, SUM_LEVELS = 40 };

/* Sums of more rows look up from their work. */
enum { SUM_LOOK = 64 * SUM_BLOCK };

/* How many of n terms, more than a block's, are summed on their own before the rest is. */
static size_t first_half(size_t n, size_t block) {
    size_t half = block;
    while (half < n - half) half *= 2;
    return half;
}

/* Sums of blocks on their way, `count` vectors side by side: level[k] holds those of 2^k blocks
 * where bit k of `blocks`, the number of all, is set. */
ALWAYS_INLINE void add_block(vec *level, size_t blocks, vec *sum, size_t count) {
    for (; blocks & 1; blocks >>= 1, level += count)
        for (size_t i = 0; i < count; i++) sum[i] = level[i] + sum[i];
    for (size_t i = 0; i < count; i++) level[i] = sum[i];
}

ALWAYS_INLINE void add_levels(vec *sum, const vec *level, size_t blocks, size_t count) {
    for (; !(blocks & 1); blocks >>= 1) level += count;
    for (size_t i = 0; i < count; i++) sum[i] = level[i];
    while (blocks >>= 1) {
        level += count;
        for (size_t i = 0; blocks & 1 && i < count; i++) sum[i] = level[i] + sum[i];
    }
}

/* Runs the statements, which add terms first to last - 1 to the vectors sum[0] to sum[count - 1],
 * for each block of n terms; leaves the sums of all there.  To begin with they are zero.  One block
 * alone, the usual case, is compiled apart, as if there were none. */
#define SUM_IN_BLOCKS(sum, count, first, last, n, block, ...)                                      \
    do {                                                                                           \
        if ((n) <= (block)) {                                                                      \
            const size_t first = 0, last = (n);                                                    \
            __VA_ARGS__                                                                            \
            break;                                                                                 \
        }                                                                                          \
        vec level_[SUM_LEVELS * (count)], block_[count];                                           \
        size_t blocks_ = 0;                                                                        \
        for (size_t first = 0, last; first < (n); first = last, blocks_++) {                       \
            last = min_size(first + (block), n);                                                   \
            __VA_ARGS__                                                                            \
            for (size_t i_ = 0; i_ < (count); i_++) block_[i_] = (sum)[i_], (sum)[i_] = (vec){0};  \
            add_block(level_, blocks_, block_, count);                                             \
        }                                                                                          \
        add_levels(block_, level_, blocks_, count);                                                \
        for (size_t i_ = 0; i_ < (count); i_++) (sum)[i_] = block_[i_];                            \
    } while (0)

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

/* Rows as a sum wants them: of x, or of two arrays, D columns of rows `stride` apart. */
typedef struct {
    const real *x, *other;
    size_t D, stride;
} summed_rows;

/* Sets sum (D,), and more (D,) where it is not NULL, to the sums over some rows. */
typedef void (*sum_of_block)(const summed_rows *x, real *sum, real *more, size_t first,
                             size_t rows);

/* The same of N rows from `first` on, block by block.  D <= SUM_COLUMNS, unless one block holds all
 * rows. */
static void sum_blocks(sum_of_block run, const summed_rows *x, real *sum, real *more, size_t first,
                       size_t N) {
    if (N <= SUM_BLOCK) {
        run(x, sum, more, first, N);
        return;
    }
    if (N > SUM_LOOK && fc_look()) return;
    real second[2 * SUM_COLUMNS];
    const size_t half = first_half(N, SUM_BLOCK);
    sum_blocks(run, x, sum, more, first, half);
    sum_blocks(run, x, second, more ? second + SUM_COLUMNS : NULL, first + half, N - half);
    add_rows(sum, second, 1, x->D, 0);
    if (more) add_rows(more, second + SUM_COLUMNS, 1, x->D, 0);
}

static void sum_block_of_rows(const summed_rows *x, real *sum, real *more, size_t first,
                              size_t rows_) {
    (void)more;
    const size_t D = x->D, stride = x->stride;
    const real *block = x->x + first * stride;
    memset(sum, 0, D * sizeof(real));
    EACH_ROW_BLOCK_AT(i, rows_, stride, { add_rows(sum, block + i * stride, rows, D, stride); });
}

/* sum = x.sum(axis=0).  x: (N, D), rows `stride` apart.  sum: (D,), set. */
static void sum_rows(real *sum, const real *x, size_t N, size_t D, size_t stride) {
    const size_t most = N > SUM_BLOCK ? SUM_COLUMNS : D;
    for (size_t j = 0; j < D; j += most) {
        const summed_rows rows = {x + j, NULL, min_size(D - j, most), stride};
        sum_blocks(sum_block_of_rows, &rows, sum + j, NULL, 0, N);
    }
}

#endif
