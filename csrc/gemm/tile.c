/* The micro-kernel: a small tile of c, in registers, from a panel of a and a panel of b.
 *
 * The tile has at most MR rows and NV vectors of columns.  Of its last vector only `lanes` elements
 * exist; if it is the only vector, it may be half or a quarter as wide.  Every element is summed
 * over k, upwards from zero, and the addend is added at the end: its bits do not depend on the tile
 * that it falls into.  Rows of b are b_stride elements apart; where loads can be masked, nothing
 * past the end of b is read.
 *
 * Measured without gain: storing the sums to memory first and adding them to c in a loop (costs 5 %
 * of a tile of depth 100); prefetching c before the sums (1 % slower: the loads of c overlap with
 * the products as it is); a tile of its own for packed panels, whose strides are then constants (21
 * instructions a step instead of 22, no different). */
#ifndef FASTFC_GEMM_TILE_C
#define FASTFC_GEMM_TILE_C

#include "gemm/pack.c"
#include "simd/narrow.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Pointers to the elements of a that the next step reads.  A panel by columns needs one pointer.  A
 * panel by rows needs one for every third row: an x86 address, pointer + 1 or 2 strides, reaches
 * the two rows in between, and a pointer for each row would not fit the registers. */
enum { THIRDS = (MR + 2) / 3 };

ALWAYS_INLINE void set_a_pointers(const real **at, a_panel a, const int by_rows, const int mr) {
    UNROLL_ALL
    for (int i = 0; i < THIRDS; i++)
        if (i == 0 || (by_rows && 3 * i < mr)) at[i] = a.at + 3 * (size_t)i * a.stride;
}

ALWAYS_INLINE const real *a_element(const real **at, a_panel a, const int by_rows, int i) {
    return by_rows ? at[i / 3] + (size_t)(i % 3) * a.stride : at[0] + i;
}

ALWAYS_INLINE void advance_a_pointers(const real **at, a_panel a, const int by_rows, const int mr) {
    UNROLL_ALL
    for (int i = 0; i < THIRDS; i++)
        if (i == 0 || (by_rows && 3 * i < mr)) at[i] += by_rows ? 1 : a.stride;
}

/* How often the loop over k is unrolled.  A step of 12 products has 25 instructions, and 22
 * unrolled: a core that shares its front end with another thread (SMT) has none to spare.  With
 * wider vectors each step keeps the arithmetic busy for longer than that takes. */
enum { STEPS = VEC_BYTES == 32 ? 4 : 1 };

/* sum += a column of a times a row of b. */
ALWAYS_INLINE void rank_1_update(vec sum[MR][NV], const real **at, a_panel a, const vec *row,
                                 const int by_rows, const int mr, const int nv) {
    UNROLL_ALL
    for (int i = 0; i < mr; i++) {
        const vec element = vec_set(*a_element(at, a, by_rows, i));
        UNROLL_ALL
        for (int j = 0; j < nv; j++) sum[i][j] = vec_fma(element, row[j], sum[i][j]);
    }
}

/* c (mr, nv vectors) = addend + a panel of a times a panel of b, over k steps.  Of the last vector
 * `lanes` elements exist.  With nv > 1, loads of it are masked in b's last row only: in any other
 * row a whole load stays inside b, since what follows is the next row. */
ALWAYS_INLINE void tile(real *c, size_t ldc, const real *addend, size_t ld_addend, a_panel a,
                        const real *b, size_t b_stride, size_t k, size_t lanes, const int by_rows,
                        const int mr, const int nv) {
    const lanes_mask mask = vec_lanes_mask(lanes);
    const int last = nv - 1;
    vec sum[MR][NV], row[NV];
    UNROLL_ALL
    for (int i = 0; i < mr; i++) {
        UNROLL_ALL
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};
    }

    const real *at[THIRDS];
    set_a_pointers(at, a, by_rows, mr);
#pragma GCC unroll STEPS
    for (size_t p = 1; p < k; p++, b += b_stride) {
        UNROLL_ALL
        for (int j = 0; j < nv; j++)
            row[j] = VEC_MASKED && nv == 1 ? vec_load_masked(b, mask)
                                           : vec_load(b + (size_t)j * LANES, LANES);
        rank_1_update(sum, at, a, row, by_rows, mr, nv);
        advance_a_pointers(at, a, by_rows, mr);
    }
    UNROLL_ALL
    for (int j = 0; j < last; j++) row[j] = vec_load(b + (size_t)j * LANES, LANES);
    row[last] = vec_load_masked(b + (size_t)last * LANES, mask);
    rank_1_update(sum, at, a, row, by_rows, mr, nv);

    UNROLL_ALL
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend) {
        UNROLL_ALL
        for (int j = 0; j < nv; j++) {
            real *to = c + (size_t)j * LANES;
            const real *from = addend + (size_t)j * LANES;
            if (j < last || (nv > 1 && lanes == LANES))
                vec_store(to, sum[i][j] + vec_load(from, LANES), LANES);
            else
                vec_store_masked(to, sum[i][j] + vec_load_masked(from, mask), mask);
        }
    }
}

/* The same for half a vector of columns, of which `lanes` elements exist.  A core whose 64-byte
 * instructions occupy two 32-byte units computes two such products in the time of a whole one. */
ALWAYS_INLINE void half_tile(real *c, size_t ldc, const real *addend, size_t ld_addend, a_panel a,
                             const real *b, size_t b_stride, size_t k, size_t lanes,
                             const int by_rows, const int mr) {
    const lanes_mask mask = vec_lanes_mask(lanes);
    const real *at[THIRDS];
    half_vec sum[MR];
    set_a_pointers(at, a, by_rows, mr);
    UNROLL_ALL
    for (int i = 0; i < mr; i++) sum[i] = (half_vec){0};
    for (size_t p = 0; p < k; p++, b += b_stride) {
        const half_vec row = half_load_masked(b, mask);
        UNROLL_ALL
        for (int i = 0; i < mr; i++) {
            const half_vec element = *a_element(at, a, by_rows, i) - (half_vec){0};
            sum[i] = half_fma(element, row, sum[i]);
        }
        advance_a_pointers(at, a, by_rows, mr);
    }
    UNROLL_ALL
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend)
        vec_store_masked(c, vec_of_half(sum[i]) + vec_load_masked(addend, mask), mask);
}

/* The same for a quarter of a vector, four columns.  One vector of sums holds four columns of four
 * rows, and is multiplied by four elements of a, each repeated four times.  Where a is by rows,
 * four steps of them are loaded at once. */
#if QUARTERS
ALWAYS_INLINE void quarter_tile(real *c, size_t ldc, const real *addend, size_t ld_addend,
                                a_panel a, const real *b, size_t b_stride, size_t k, size_t lanes,
                                const int by_rows, const int mr) {
    enum { SUMS = (MR + 3) / 4 };
    vec sum[SUMS], block[SUMS];
    const real *at[THIRDS];
    set_a_pointers(at, a, by_rows, mr);
    UNROLL_ALL
    for (int g = 0; 4 * g < mr; g++) sum[g] = (vec){0};
    for (size_t p = 0, steps; p < k; p += steps) {
        steps = by_rows ? min_size(k - p, 4) : 1;
        if (by_rows) {
            UNROLL_ALL
            for (int g = 0; 4 * g < mr; g++) {
                quarter_vec row[4] = {{0}};
                UNROLL_ALL
                for (int i = 0; i < 4; i++)
                    if (4 * g + i < mr)
                        row[i] = quarter_load(a_element(at, a, 1, 4 * g + i) + p, steps);
                block[g] = vec_of_quarters(row[0], row[1], row[2], row[3]);
            }
        } else
            block[0] = vec_load(at[0] + p * a.stride, (size_t)mr);
        UNROLL_ALL
        for (int step = 0; step < 4; step++, b += b_stride) {
            if ((size_t)step == steps) break;
            const quarter_vec columns = quarter_load(b, lanes);
            const vec row = vec_of_quarters(columns, columns, columns, columns);
            UNROLL_ALL
            for (int g = 0; 4 * g < mr; g++) {
                const vec elements = by_rows ? vec_repeat_of_quarters(block[g], step)
                                             : vec_repeat_quarter(block[0], g);
                sum[g] = vec_fma(elements, row, sum[g]);
            }
        }
    }
    UNROLL_ALL
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend)
        quarter_store(c, quarter_of(sum[i / 4], i % 4) + quarter_load(addend, lanes), lanes);
}
#else
#define quarter_tile half_tile /* never called: no panel is a quarter wide */
#endif

/* Runs the tile for mr rows and `width` columns, which are whole vectors, half a one or a quarter;
 * `columns` of them exist. */
static void micro_kernel(real *c, size_t ldc, const real *addend, size_t ld_addend, a_panel a,
                         const real *b, size_t b_stride, size_t k, size_t columns, size_t mr,
                         size_t width) {
    const size_t lanes = width > LANES ? columns - (width - LANES) : columns;
#define TILE(by, rows, vectors)                                                                    \
    tile(c, ldc, addend, ld_addend, a, b, b_stride, k, lanes, by, rows, vectors)
#define PART_TILE(part, by, rows)                                                                  \
    part##_tile(c, ldc, addend, ld_addend, a, b, b_stride, k, lanes, by, rows)
#define BY(by, rows)                                                                               \
    if (width == 2 * LANES)                                                                        \
        TILE(by, rows, 2);                                                                         \
    else if (width == LANES)                                                                       \
        TILE(by, rows, 1);                                                                         \
    else if (!QUARTERS || width == LANES / 2)                                                      \
        PART_TILE(half, by, rows);                                                                 \
    else                                                                                           \
        PART_TILE(quarter, by, rows)
#define TILES(rows)                                                                                \
    case (rows):                                                                                   \
        if ((rows) > MR) break;                                                                    \
        if (a.by_rows) {                                                                           \
            BY(1, ((rows) > MR ? 1 : (rows)));                                                     \
        } else {                                                                                   \
            BY(0, ((rows) > MR ? 1 : (rows)));                                                     \
        }                                                                                          \
        break
    /* NOLINTBEGIN(bugprone-branch-clone): those above MR are alike, and never called */
    switch (mr) {
        TILES(1);
        TILES(2);
        TILES(3);
        TILES(4);
        TILES(5);
        TILES(6);
        TILES(7);
        TILES(8);
        TILES(9);
        TILES(10);
        TILES(11);
        TILES(12);
        TILES(13);
        TILES(14);
    default:
        break;
    }
    /* NOLINTEND(bugprone-branch-clone) */
#undef TILES
#undef BY
#undef PART_TILE
#undef TILE
}

#endif
