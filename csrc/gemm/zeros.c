/* Products that leave out the zeros of a, where it is mostly zeros: images of digits, columns of
 * categories that are 0 or 1, counts of words.
 *
 * A strip is a few rows of a, of which the tile multiplies the columns that are not all zeros, each
 * with the row of b that has its number.  It is lower than a panel of the micro-kernel, since fewer
 * of its columns have anything: 39 % in strips of 4 images of MNIST, 19 % of whose pixels are not
 * zero, and 52 % in panels of 14.
 *
 * A zero times a finite number adds nothing to a sum, so that the other terms have the order and
 * the sum the bits that they have with it.  Times an infinity or NaN it is NaN: if b has one,
 * nothing is left out.
 *
 * Where there are 32 registers a tile has four vectors: with two, AVX-512 took 1.25 times as long.
 *
 * Measured without gain: strips of two rows, which keep 29 % of the columns, by up to eight
 * vectors, with b packed to whole cache lines (AVX-512: the gradient of the weights 10 % slower,
 * forward no different; AVX2 3 to 6 % faster in L2, 8 % slower beyond it).
 * Nor, for a step of MNIST on an Intel Xeon: b packed to whole cache lines alone (the tile takes
 * 18 % less time, packing as much again); reading a minibatch's rows where they stand; prefetching
 * the rows of the next step.
 */
#ifndef FASTFC_GEMM_ZEROS_C
#define FASTFC_GEMM_ZEROS_C

#include "gemm/pack.c"
#include "ops/finite.c"
#include "simd/narrow.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <stdint.h>

/* Rows of a strip; strips that are packed together, from vectors of rows. */
enum { STRIP = LANES < 4 ? LANES : 4, STRIPS = LANES / STRIP, MOST_NUMBERS = KC + LANES };

/* Up to STRIP rows of a, from which elements that are col_stride apart are read, and the numbers of
 * the columns that are kept. */
typedef struct {
    const real *row[STRIP]; /* those that do not exist are the first once more */
    size_t rows, col_stride, kept;
    uint16_t *numbers; /* (MOST_NUMBERS,) */
} strip;

/* Whether a (m, k) is mostly zeros, by some columns of some strips, and whether its product with n
 * columns is so large that it pays to look. */
NEVER_INLINE int is_mostly_zeros(matrix a, size_t m, size_t n, size_t k) {
    enum { SAMPLES = 64, MOST = SAMPLES * 3 / 4, FEW_COLUMNS = 2 * LANES };
    enum { LITTLE_OF_ROW = 1 << 15, LITTLE = 1 << 20 };
    const size_t rows = min_size(m, STRIP);
    size_t kept = 0;
    if (n < FEW_COLUMNS || m * n * k < (m == 1 ? LITTLE_OF_ROW : LITTLE)) return 0;
    for (size_t i = 0; i < SAMPLES && kept <= MOST; i++) {
        /* points that fill a square evenly: multiples of 1 / p and 1 / p^2, p^3 = p + 1 (Roberts
         * 2018) */
        const uint32_t down = (uint32_t)i * 3242174889u, along = (uint32_t)i * 2447445414u;
        const size_t row = (size_t)((uint64_t)down * (m - rows + 1) >> 32);
        const real *at = submatrix(a, row, (size_t)((uint64_t)along * k >> 32)).at;
        int some = 0;
        for (size_t j = 0; j < rows; j++) some |= at[j * a.row_stride] != 0;
        kept += (size_t)some;
    }
    return kept <= MOST;
}

/* Whether all elements of b (k, n) are finite. */
NEVER_INLINE int is_finite_block(matrix b, size_t k, size_t n) {
    const int by_rows = b.col_stride == 1;
    const size_t runs = by_rows ? k : n, stride = by_rows ? b.row_stride : b.col_stride;
    for (size_t i = 0; i < runs; i++)
        if (!all_finite(b.at + i * stride, by_rows ? n : k)) return 0;
    return 1;
}

/* One bit for each lane that is not zero: neither 0 nor -0. */
ALWAYS_INLINE uint16_t bits_of_nonzero(ivec v) {
    return vec_common_bits(v, ~(ivec)vec_set((real)-0.0));
}

/* Makes one strip of rows that are contiguous. */
static void keep_columns(strip *s, size_t k) {
    s->kept = 0;
    EACH_VECTOR(p, k, {
        ivec some = {0};
        UNROLL_ALL
        for (size_t i = 0; i < STRIP; i++) some |= (ivec)vec_load(s->row[i] + p, lanes);
        s->kept += numbers_of_bits(s->numbers + s->kept, p, bits_of_nonzero(some));
    });
}

/* Makes strips of columns that are contiguous, of which bits[p] says what is not zero in column
 * number p. */
static void keep_bits(strip *s, size_t number, const uint16_t *bits, size_t k) {
    typedef uint16_t narrow __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
    const ivec own = (ivec){0} + (lane_int)(((1u << STRIP) - 1) << number * STRIP);
    s->kept = 0;
    for (size_t p = 0; p < k; p += LANES) {
        const ivec some = __builtin_convertvector(*(const narrow *)(bits + p), ivec);
        s->kept += numbers_of_bits(s->numbers + s->kept, p, vec_common_bits(some, own));
    }
}

/* Makes strips of at most LANES rows of a, of depth k, at most KC. */
static void make_strips(strip *strips, matrix a, size_t rows, size_t k) {
    uint16_t bits[KC + LANES] = {0};
    for (size_t p = 0; a.col_stride != 1 && p < k; p++)
        bits[p] = bits_of_nonzero((ivec)vec_load(a.at + p * a.col_stride, rows));
    for (size_t i = 0; i * STRIP < rows; i++) {
        strip *s = strips + i;
        s->rows = min_size(rows - i * STRIP, STRIP), s->col_stride = a.col_stride;
        for (size_t j = 0; j < STRIP; j++)
            s->row[j] = a.at + (i * STRIP + (j < s->rows ? j : 0)) * a.row_stride;
        if (a.col_stride == 1)
            keep_columns(s, k);
        else
            keep_bits(s, i, bits, k);
    }
}

/* Panels of b that are multiplied at once: where there are 32 registers, two. */
enum { PANELS = MR > 6 ? 2 : 1, STRIP_VECTORS = NV * PANELS };
typedef struct {
    const real *at[PANELS];
    size_t stride[PANELS]; /* of rows */
} panels_of_b;

/* c (s->rows, nv vectors) = addend + a strip times panels of b, computed as `rows` rows.  Of the
 * last vector `lanes` elements exist: loads of it are masked where one instruction does it, and
 * where it is alone in its panel.  Elsewhere b is packed or padded, and a whole load stays inside.
 */
ALWAYS_INLINE void strip_tile(real *c, size_t ldc, const real *addend, size_t ld_addend,
                              const strip *s, panels_of_b b, size_t lanes, const size_t rows,
                              const int nv) {
    const lanes_mask mask = vec_lanes_mask(lanes);
    const int last = nv - 1, masked = VEC_MASKED || nv % NV;
    const real *row[STRIP];
    UNROLL_ALL
    for (size_t i = 0; i < STRIP; i++) row[i] = s->row[i];
    vec sum[STRIP][STRIP_VECTORS];
    UNROLL_ALL
    for (size_t i = 0; i < rows; i++) {
        UNROLL_ALL
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};
    }
    for (size_t i = 0; i < s->kept; i++) {
        const size_t p = s->numbers[i], at = p * s->col_stride;
        vec of_b[STRIP_VECTORS];
        UNROLL_ALL
        for (int j = 0; j < nv; j++) {
            const real *from = b.at[j / NV] + p * b.stride[j / NV] + (size_t)(j % NV) * LANES;
            of_b[j] = masked && j == last ? vec_load_masked(from, mask) : vec_load(from, LANES);
        }
        UNROLL_ALL
        for (size_t r = 0; r < rows; r++) {
            const vec element = vec_set(row[r][at]);
            UNROLL_ALL
            for (int j = 0; j < nv; j++) sum[r][j] = vec_fma(element, of_b[j], sum[r][j]);
        }
    }
    UNROLL_ALL
    for (size_t i = 0; i < rows; i++, c += ldc, addend += ld_addend) {
        if (i == s->rows) break;
        UNROLL_ALL
        for (int j = 0; j < last; j++) {
            const vec from = vec_load(addend + (size_t)j * LANES, LANES);
            vec_store(c + (size_t)j * LANES, sum[i][j] + from, LANES);
        }
        const vec from = vec_load_masked(addend + (size_t)last * LANES, mask);
        vec_store_masked(c + (size_t)last * LANES, sum[i][last] + from, mask);
    }
}

/* The micro-kernel for a strip and panels of b that have so many vectors, the last of which has
 * `lanes` elements. */
static void multiply_strip(real *c, size_t ldc, const real *addend, size_t ld_addend,
                           const strip *s, panels_of_b b, size_t lanes, size_t vectors) {
#define STRIP_TILE(rows, n)                                                                        \
    if ((n) <= STRIP_VECTORS && vectors == (n))                                                    \
    strip_tile(c, ldc, addend, ld_addend, s, b, lanes, rows, (n) <= STRIP_VECTORS ? (n) : 1)
#define STRIP_TILES(rows)                                                                          \
    STRIP_TILE(rows, 1);                                                                           \
    STRIP_TILE(rows, 2);                                                                           \
    STRIP_TILE(rows, 3);                                                                           \
    STRIP_TILE(rows, 4)
    if (s->rows == 1) {
        STRIP_TILES(1);
    } else {
        STRIP_TILES(STRIP);
    }
#undef STRIP_TILES
#undef STRIP_TILE
}

#endif
