/* The micro-kernel: a small tile of c, in registers, from a panel of a and a panel of b.
 *
 * The tile has MR rows and NV vectors of columns, or fewer of either; a last vector of which no
 * more than half exists is half as wide.  Every element is summed over k upwards from zero and then
 * added to the addend: in which tile it stands does not change it. */

/* c (mr, nv vectors) = addend + sum, whose rows are NV vectors long.  `lanes` counts the elements
 * of the last vector. */
static void add_tile(real *c, size_t ldc, const real *addend, size_t ld_addend, const vec *sum,
                     size_t lanes, int mr, int nv) {
    const size_t last = (size_t)(nv - 1) * LANES;
    for (int i = 0; i < mr; i++, c += ldc, addend += ld_addend, sum += NV) {
        for (size_t at = 0; at < last; at += LANES)
            vec_store(c + at, sum[at / LANES] + vec_load(addend + at, LANES), LANES);
        if (lanes == LANES)
            vec_store(c + last, sum[nv - 1] + vec_load(addend + last, LANES), LANES);
        else
            vec_store(c + last, sum[nv - 1] + vec_load(addend + last, lanes), lanes);
    }
}

/* c (mr, nv vectors) = addend + a panel of a times a panel of b, over k steps.  b's rows are b_row
 * elements apart, each a whole number of aligned vectors. */
ALWAYS_INLINE void tile(real *c, size_t ldc, const real *addend, size_t ld_addend, left_panel a,
                        const real *b, size_t b_row, size_t k, size_t lanes, const int by_rows,
                        const int mr, const int nv) {
    vec sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};

    for (size_t p = 0; p < k; p++, a.at += by_rows ? 1 : a.pitch, b += b_row) {
        vec row[NV];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) row[j] = *(const vec *)(b + (size_t)j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const vec element = vec_set(a.at[by_rows ? i * PITCH : i]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) sum[i][j] = vec_fma(element, row[j], sum[i][j]);
        }
    }

    /* by way of memory: the stores that follow are many, rare and awkward to unroll */
    vec result[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) result[i][j] = sum[i][j];
    add_tile(c, ldc, addend, ld_addend, &result[0][0], lanes, mr, nv);
}

/* The same for half a vector, of which `lanes` elements exist.  Two such products take a core that
 * has two 32-byte units as long as one of whole vectors. */
ALWAYS_INLINE void half_tile(real *c, size_t ldc, const real *addend, size_t ld_addend,
                             left_panel a, const real *b, size_t b_row, size_t k, size_t lanes,
                             const int by_rows, const int mr) {
    half_vec sum[MR];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) sum[i] = (half_vec){0};
    for (size_t p = 0; p < k; p++, a.at += by_rows ? 1 : a.pitch, b += b_row) {
        const half_vec row = *(const half_vec *)b;
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const half_vec element = a.at[by_rows ? i * PITCH : i] - (half_vec){0};
            sum[i] = half_fma(element, row, sum[i]);
        }
    }
    vec result[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) memcpy(&result[i][0], &sum[i], sizeof(half_vec));
    add_tile(c, ldc, addend, ld_addend, &result[0][0], lanes, mr, 1);
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
