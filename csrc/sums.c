/* Sums over the batch, one for each feature: the bias's gradient, batch normalisation's mean.
 *
 * Rows are added in order, so a feature's sum is the same whichever features are computed with it.
 * Eight rows are taken at a time to keep the running sums in registers meanwhile; the order stays.
 */

enum { ROWS_AT_ONCE = 8 };

/* Runs the statements for blocks of up to 8 of N rows: `i` is the first row, `rows` counts them. */
#define EACH_ROW_BLOCK(i, N, ...)                                                                  \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (; i + ROWS_AT_ONCE <= (N); i += ROWS_AT_ONCE) {                                       \
            const size_t rows = ROWS_AT_ONCE;                                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        for (; i < (N); i++) {                                                                     \
            const size_t rows = 1;                                                                 \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

/* sum (D,) += rows of x (rows, D), which stand `stride` apart. */
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
    EACH_ROW_BLOCK(i, N, { add_rows(sum, x + i * stride, rows, D, stride); });
}
