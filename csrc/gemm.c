/* Matrix product:  c = a b (+ bias, a row added to every row).
 *
 * c: (m, n) dense, set.  a: (m, k) and b: (k, n) with any strides, so either may be a transpose.
 *
 * The five loops around the micro-kernel (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015):
 * columns of b by NC, depth by KC, rows of a by MC; then panels of at most MR rows and NV vectors
 * of columns, packed so that the micro-kernel reads both in storage order.  A tile of c stays in
 * registers over KC steps.  Panels share the rows (and the vectors of columns) out evenly, so there
 * is no padding but inside the last vector of columns.
 *
 * Every element is a sum in one fixed order, whatever tile it falls in: in each KC of depth from
 * zero upwards, then those sums in order, then the bias.  So results do not depend on how the work
 * is cut, and a row of c depends on its row of a alone. */

typedef struct {
    const real *at;
    size_t row, column; /* strides, in elements; one of them is 1 */
} matrix;

/* The tile fills the registers: MR x NV sums, NV vectors of b and one element of a. */
#if VEC_BYTES == 64 || defined(__ARM_NEON) /* 32 registers */
enum { MR = 12, NV = 2 };
#elif defined(__AVX2__) /* 16 registers */
enum { MR = 6, NV = 2 };
#else                   /* 16 registers, but multiply and add take one more */
enum { MR = 4, NV = 2 };
#endif

/* A panel of a (MR x KC) lives in L1, the block of b (KC x NC) in L2. */
enum { KC = 256, MC = 10 * MR, NC = FC_DOUBLE ? 256 : 512 };

_Static_assert((KC * (NC + NV * LANES) + KC * MC) * sizeof(real) <= FC_WORKSPACE_BYTES,
               "the packed blocks must fit the workspace");

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Of `count` things in `parts` even parts: where part i starts. */
static size_t part_start(size_t count, size_t parts, size_t i) {
    return count / parts * i + smaller(i, count % parts);
}

/* to (k, width of stride) = from (width, k) or its transpose, by strides: `across` the panel and
 * `along` it.  Columns past width are zero: nothing reads them, but stray denormals would be slow.
 */
static void pack_panel(real *to, const real *from, size_t across, size_t along, size_t width,
                       size_t k, size_t stride) {
    if (across == 1) {
        for (size_t p = 0; p < k; p++)
            EACH_VECTOR(i, width, {
                vec_store(to + p * stride + i, vec_load(from + p * along + i, lanes), lanes);
            });
    } else {
        for (size_t i = 0; i < width; i++)
            for (size_t p = 0; p < k; p++) to[p * stride + i] = from[i * across + p * along];
    }
    if (width < stride)
        for (size_t p = 0; p < k; p++)
            for (size_t i = width; i < stride; i++) to[p * stride + i] = 0;
}

/* The micro-kernel: c (mr, nv vectors) = or += a panel of a times a panel of b, over k steps.
 * `lanes` counts the elements of the last vector.  bias may be NULL. */
ALWAYS_INLINE void tile(real *c, size_t ldc, const real *a, const real *b, const real *bias,
                        int accumulate, size_t k, size_t lanes, const int mr, const int nv) {
    vec sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};

    for (size_t p = 0; p < k; p++, a += mr, b += (size_t)nv * LANES) {
        vec row[NV];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) row[j] = *(const vec *)(b + (size_t)j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) sum[i][j] = vec_fma(vec_set(a[i]), row[j], sum[i][j]);
    }

#pragma GCC unroll 16
    for (int i = 0; i < mr; i++, c += ldc)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            const size_t at = (size_t)j * LANES, width = j + 1 < nv ? LANES : lanes;
            vec v = sum[i][j];
            if (accumulate) v += vec_load(c + at, width);
            if (bias) v += vec_load(bias + at, width);
            vec_store(c + at, v, width);
        }
}

static void any_tile(real *c, size_t ldc, const real *a, const real *b, const real *bias,
                     int accumulate, size_t k, size_t lanes, size_t mr, size_t nv) {
#define TILE(rows)                                                                                 \
    case rows:                                                                                     \
        if (rows > MR) break;                                                                      \
        if (nv == 1)                                                                               \
            tile(c, ldc, a, b, bias, accumulate, k, lanes, rows > MR ? 1 : rows, 1);               \
        else                                                                                       \
            tile(c, ldc, a, b, bias, accumulate, k, lanes, rows > MR ? 1 : rows, 2);               \
        break
    switch (mr) {
        TILE(1);
        TILE(2);
        TILE(3);
        TILE(4);
        TILE(5);
        TILE(6);
        TILE(7);
        TILE(8);
        TILE(9);
        TILE(10);
        TILE(11);
        TILE(12);
    }
#undef TILE
}

/* How `n` columns fall into vectors and those into panels. */
typedef struct {
    size_t columns, vectors, panels;
} columns_cut;

static columns_cut cut_columns(size_t n) {
    const size_t vectors = (n + LANES - 1) / LANES;
    return (columns_cut){n, vectors, (vectors + NV - 1) / NV};
}

/* c (m, n) = or += packed a times packed b: every panel of a against every panel of b. */
static void gemm_block(real *c, size_t ldc, const real *a, const real *b, const real *bias,
                       int accumulate, size_t m, size_t k, columns_cut cut) {
    const size_t panels = (m + MR - 1) / MR;
    for (size_t i = 0; i < panels; i++) {
        const size_t row = part_start(m, panels, i), rows = part_start(m, panels, i + 1) - row;
        for (size_t j = 0; j < cut.panels; j++) {
            const size_t first = part_start(cut.vectors, cut.panels, j);
            const size_t last = part_start(cut.vectors, cut.panels, j + 1);
            const size_t column = first * LANES;
            const size_t lanes = smaller(cut.columns - (last - 1) * LANES, LANES);
            any_tile(c + row * ldc + column, ldc, a + row * k, b + column * k,
                     bias ? bias + column : NULL, accumulate, k, lanes, rows, last - first);
        }
    }
}

static void gemm(real *c, matrix a, matrix b, const real *bias, size_t m, size_t n, size_t k,
                 void *workspace) {
    real *packed_b = workspace, *packed_a = packed_b + KC * (NC + NV * LANES);
    if (k == 0) { /* an empty sum */
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) c[i * n + j] = bias ? bias[j] : 0;
        return;
    }
    for (size_t jc = 0; jc < n; jc += NC) {
        const columns_cut cut = cut_columns(smaller(n - jc, NC));
        for (size_t pc = 0; pc < k; pc += KC) {
            const size_t kc = smaller(k - pc, KC);
            const real *last_bias = bias && pc + kc == k ? bias + jc : NULL;
            for (size_t j = 0; j < cut.panels; j++) {
                const size_t first = part_start(cut.vectors, cut.panels, j) * LANES;
                const size_t next = part_start(cut.vectors, cut.panels, j + 1) * LANES;
                pack_panel(packed_b + first * kc, b.at + pc * b.row + (jc + first) * b.column,
                           b.column, b.row, smaller(next, cut.columns) - first, kc, next - first);
            }
            for (size_t ic = 0; ic < m; ic += MC) {
                const size_t mc = smaller(m - ic, MC), panels = (mc + MR - 1) / MR;
                for (size_t i = 0; i < panels; i++) {
                    const size_t first = part_start(mc, panels, i);
                    const size_t rows = part_start(mc, panels, i + 1) - first;
                    pack_panel(packed_a + first * kc, a.at + (ic + first) * a.row + pc * a.column,
                               a.row, a.column, rows, kc, rows);
                }
                gemm_block(c + ic * n + jc, n, packed_a, packed_b, last_bias, pc > 0, mc, kc, cut);
            }
        }
    }
}
