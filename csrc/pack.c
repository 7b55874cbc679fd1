/* Packing: copies of a product's factors in the order in which the micro-kernel reads them.
 *
 * The right factor b is cut into panels of up to NV vectors of columns, stored one row after
 * another: a whole number of vectors wide, the columns that do not exist zero (nothing reads them,
 * but stray denormals would be slow).  The left factor a is cut into panels of up to MR rows,
 * stored the way that its memory allows to copy: row by row, PITCH apart, where rows are
 * contiguous, else column by column.  Unpacked, rows 12 KB apart share the same L1 sets, and rows
 * of 100 floats straddle cache lines. */

typedef struct {
    const real *at;
    size_t row, column; /* strides, in elements; one of them is 1 */
} matrix;

/* The tile fills the registers: MR x NV sums, NV vectors of b and one element of a. */
#if VEC_BYTES == 64 /* 32 registers */
enum { MR = 14, NV = 2 };
#elif defined(__ARM_NEON) /* 32 registers */
enum { MR = 12, NV = 2 };
#elif defined(__AVX2__)   /* 16 registers */
enum { MR = 6, NV = 2 };
#else                     /* 16 registers, but multiply and add take one more */
enum { MR = 4, NV = 2 };
#endif

/* Depth of a block.  A panel of a (MR x KC) stays in L1 while panels of b stream from L2. */
enum { KC = 256, PITCH = KC + 16 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* How `count` things fall evenly into parts of at most `most`: how many parts, and where one
 * starts. */
static size_t parts_of(size_t count, size_t most) { return (count + most - 1) / most; }

static size_t part_start(size_t count, size_t parts, size_t part) {
    return count / parts * part + smaller(part, count % parts);
}

/* How n columns fall into vectors, and those into panels. */
typedef struct {
    size_t columns, vectors, panels;
} columns_cut;

static columns_cut cut_columns(size_t n) {
    const size_t vectors = parts_of(n, LANES);
    return (columns_cut){n, vectors, parts_of(vectors, NV)};
}

/* First column of a panel, a whole number of vectors; for panel == panels their end. */
static size_t panel_start(columns_cut cut, size_t panel) {
    return part_start(cut.vectors, cut.panels, panel) * LANES;
}

static void copy_rows(real *to, size_t to_row, const real *from, size_t from_row, size_t rows,
                      size_t columns) {
    for (size_t i = 0; i < rows; i++)
        EACH_VECTOR(j, columns, {
            vec_store(to + i * to_row + j, vec_load(from + i * from_row + j, lanes), lanes);
        });
}

/* to (columns, LANES) = from (rows, columns) transposed, at most LANES of either; rows past `rows`
 * are taken as zero. */
ALWAYS_INLINE void transpose_block(real *to, size_t to_row, const real *from, size_t from_row,
                                   size_t rows, size_t columns) {
    vec block[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        block[i] = i < rows ? vec_load(from + i * from_row, columns) : (vec){0};
    vec_transpose(block);
#pragma GCC unroll 16
    for (size_t j = 0; j < LANES; j++)
        if (j < columns) vec_store(to + j * to_row, block[j], LANES);
}

static void transpose_rows(real *to, size_t to_row, const real *from, size_t from_row, size_t rows,
                           size_t columns) {
    EACH_VECTOR(j, columns, {
        if (rows == LANES)
            transpose_block(to + j * to_row, to_row, from + j, from_row, LANES, lanes);
        else
            transpose_block(to + j * to_row, to_row, from + j, from_row, rows, lanes);
    });
}

/* Rows first to last of a block of b (k, cut.columns).  Whole rows are read one after another, or
 * where b is a transpose its columns: memory is far away, and the hardware fetches ahead only along
 * lines. */
static void pack_b_rows(real *to, matrix b, size_t k, size_t first, size_t last, columns_cut cut) {
    for (size_t p = first; p < last; p++)
        for (size_t panel = 0; panel < cut.panels; panel++) {
            const size_t start = panel_start(cut, panel);
            const size_t width = panel_start(cut, panel + 1) - start;
            real *row = to + start * k + p * width;
            for (size_t j = 0; j < width; j += LANES) {
                const real *source = b.at + p * b.row + start + j;
                const size_t lanes = smaller(cut.columns - (start + j), LANES);
                if (lanes == LANES)
                    vec_store(row + j, vec_load(source, LANES), LANES);
                else
                    vec_store(row + j, vec_load(source, lanes), LANES);
            }
        }
}

static void pack_b_columns(real *to, matrix b, size_t k, size_t first, size_t last,
                           columns_cut cut) {
    for (size_t panel = 0; panel < cut.panels; panel++) {
        const size_t start = panel_start(cut, panel), width = panel_start(cut, panel + 1) - start;
        real *rows = to + start * k + first * width;
        for (size_t j = 0; j < width; j += LANES)
            transpose_rows(rows + j, width, b.at + (start + j) * b.column + first, b.column,
                           smaller(cut.columns - (start + j), LANES), last - first);
    }
}

static void pack_b(real *to, matrix b, size_t k, size_t first, size_t last, columns_cut cut) {
    if (b.column == 1)
        pack_b_rows(to, b, k, first, last, cut);
    else
        pack_b_columns(to, b, k, first, last, cut);
}

/* The part of a matrix that begins at (row, column). */
static matrix from(matrix a, size_t row, size_t column) {
    a.at += row * a.row + column * a.column;
    return a;
}

/* One panel of a (rows, k). */
static void pack_a(real *to, matrix a, size_t rows, size_t k) {
    if (a.column == 1)
        copy_rows(to, PITCH, a.at, a.row, rows, k);
    else
        copy_rows(to, rows, a.at, a.column, k, rows);
}
