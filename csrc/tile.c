/* The micro-kernel: a small tile of c, in registers, from a panel of a and a panel of b.
 *
 * The tile has MR rows and NV whole vectors of columns, or fewer of either; or one vector of which
 * `lanes` elements exist, which if they are no more than half of it is half as wide.  Every element
 * is summed over k upwards from zero and then added to the addend: in which tile it stands does not
 * change it.  Rows of b are b_row elements apart; of a partial vector only what exists is read
 * where loads can be masked.
 *
 * Measured and left: sums that reach c by way of memory, in a loop (5 % of a tile of depth 100). */

/* Where a panel of a is read at each step: one place for its column, or for its rows one for every
 * third, from which an address reaches the two after it. */
enum { THIRDS = (MR + 2) / 3 };

ALWAYS_INLINE void point_at(const real **at, left_panel a, const int by_rows, const int mr) {
#pragma GCC unroll 5
    for (int i = 0; i < THIRDS; i++)
        if (i == 0 || (by_rows && 3 * i < mr)) at[i] = a.at + 3 * (size_t)i * a.pitch;
}

ALWAYS_INLINE const real *element_at(const real **at, left_panel a, const int by_rows, int i) {
    return by_rows ? at[i / 3] + (size_t)(i % 3) * a.pitch : at[0] + i;
}

ALWAYS_INLINE void advance(const real **at, left_panel a, const int by_rows, const int mr) {
#pragma GCC unroll 5
    for (int i = 0; i < THIRDS; i++)
        if (i == 0 || (by_rows && 3 * i < mr)) at[i] += by_rows ? 1 : a.pitch;
}

/* c (mr, nv vectors) = addend + a panel of a times a panel of b, over k steps. */
ALWAYS_INLINE void tile(real *c, size_t ldc, const real *addend, size_t ld_addend, left_panel a,
                        const real *b, size_t b_row, size_t k, size_t lanes, const int by_rows,
                        const int mr, const int nv) {
    const lanes_mask mask = vec_lanes_mask(lanes);
    vec sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};

    const real *at[THIRDS];
    point_at(at, a, by_rows, mr);
    for (size_t p = 0; p < k; p++, b += b_row) {
        vec row[NV];
        if (VEC_MASKED && nv == 1)
            row[0] = vec_load_masked(b, mask);
        else
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) row[j] = vec_load(b + (size_t)j * LANES, LANES);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const vec element = vec_set(*element_at(at, a, by_rows, i));
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) sum[i][j] = vec_fma(element, row[j], sum[i][j]);
        }
        advance(at, a, by_rows, mr);
    }

#pragma GCC unroll 16
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend)
        if (nv == 1)
            vec_store_masked(c, sum[i][0] + vec_load_masked(addend, mask), mask);
        else
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++)
                vec_store(c + (size_t)j * LANES,
                          sum[i][j] + vec_load(addend + (size_t)j * LANES, LANES), LANES);
}

/* The same for half a vector, of which `lanes` elements exist.  Two such products take a core that
 * has two 32-byte units as long as one of whole vectors. */
ALWAYS_INLINE void half_tile(real *c, size_t ldc, const real *addend, size_t ld_addend,
                             left_panel a, const real *b, size_t b_row, size_t k, size_t lanes,
                             const int by_rows, const int mr) {
    const lanes_mask mask = vec_lanes_mask(lanes);
    const real *at[THIRDS];
    half_vec sum[MR];
    point_at(at, a, by_rows, mr);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) sum[i] = (half_vec){0};
    for (size_t p = 0; p < k; p++, b += b_row) {
        const half_vec row = half_load_masked(b, mask);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const half_vec element = *element_at(at, a, by_rows, i) - (half_vec){0};
            sum[i] = half_fma(element, row, sum[i]);
        }
        advance(at, a, by_rows, mr);
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend)
        vec_store_masked(c, vec_of_half(sum[i]) + vec_load_masked(addend, mask), mask);
}

/* nv 0 is half a vector. */
static void any_tile(real *c, size_t ldc, const real *addend, size_t ld_addend, left_panel a,
                     const real *b, size_t b_row, size_t k, size_t lanes, size_t mr, size_t nv) {
#define TILE(by, rows, vectors)                                                                    \
    tile(c, ldc, addend, ld_addend, a, b, b_row, k, lanes, by, rows, vectors)
#define HALF_TILE(by, rows) half_tile(c, ldc, addend, ld_addend, a, b, b_row, k, lanes, by, rows)
#define BY(by, rows)                                                                               \
    if (nv == 2)                                                                                   \
        TILE(by, rows, 2);                                                                         \
    else if (nv == 1)                                                                              \
        TILE(by, rows, 1);                                                                         \
    else                                                                                           \
        HALF_TILE(by, rows)
#define TILES(rows)                                                                                \
    case rows:                                                                                     \
        if (rows > MR) break;                                                                      \
        if (a.by_rows) {                                                                           \
            BY(1, (rows > MR ? 1 : rows));                                                         \
        } else {                                                                                   \
            BY(0, (rows > MR ? 1 : rows));                                                         \
        }                                                                                          \
        break
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
    }
#undef TILES
#undef BY
#undef HALF_TILE
#undef TILE
}
