/* Packing: copies of a product's factors in the order in which the micro-kernel reads them.
 *
 * The right factor b is cut into panels of up to NV vectors of columns.  A packed panel is stored
 * row by row and is as wide as its vectors.  Columns past b's last one are filled with zeros: their
 * products are computed but not stored, and if they held denormals, that would be slow.
 *
 * The left factor a is cut into panels of up to MR rows.  A packed panel has the orientation that a
 * has, so that packing copies whole vectors: row by row, A_ROW_STRIDE apart, where a's rows are
 * contiguous, else column by column.  Packing is skipped where a's rows do not compete for the
 * same few sets of L1, as rows 12 KB apart would (cache set conflicts). */
#ifndef FASTFC_GEMM_PACK_C
#define FASTFC_GEMM_PACK_C

#include "simd/narrow.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

typedef struct {
    const real *at;
    size_t row_stride, col_stride; /* in elements; one of them is 1 */
    int padded; /* rows are aligned, and may be read past their ends, up to a whole vector */
} matrix;

/* The micro-kernel's tile fills the vector registers: MR x NV sums, NV vectors of a row of b, and
 * one element of a, broadcast. */
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
enum { KC = 256, A_ROW_STRIDE = KC + 16 };

/* A panel of a, of up to MR rows: by rows, a[i * stride + p], or by columns, a[p * stride + i]. */
typedef struct {
    const real *at;
    size_t stride;
    int by_rows;
} a_panel;

/* How n columns are cut into vectors, and those into panels.  A partial last vector shares a panel
 * with a whole vector that would be alone in one, or it is a panel of its own, which is half or a
 * quarter of a vector wide if that is enough: whichever takes the micro-kernel less time. */
typedef struct {
    size_t columns, whole, panels; /* columns; whole vectors; and the panels that those make */
    size_t last;                   /* width of the panel with the partial vector; 0: none */
} columns_cut;

static columns_cut cut_columns(size_t n) {
    const size_t rest = n % LANES, alone = n / LANES % NV;
    const int wide = VEC_BYTES == 64, half = VEC_BYTES >= 32 && rest <= LANES / 2;
    columns_cut cut = {n, n / LANES, 0, 0};
    if (rest && alone && !(wide && half))
        cut.whole--, cut.last = 2 * LANES;
    else if (rest)
        cut.last = QUARTERS && rest <= LANES / 4 ? LANES / 4 : half ? LANES / 2 : LANES;
    cut.panels = ceil_div(cut.whole, NV);
    return cut;
}

/* All panels, that of the partial vector included. */
static size_t panel_count(columns_cut cut) { return cut.panels + (cut.last > 0); }

/* First column of a panel, a multiple of LANES; for panel == panel_count(cut) the end of the last.
 */
static size_t panel_start(columns_cut cut, size_t panel) {
    if (panel > cut.panels) return cut.whole * LANES + cut.last;
    return min_size(NV * panel, cut.whole) * LANES;
}

/* With the columns that packing adds. */
static size_t padded_columns(columns_cut cut) { return panel_start(cut, panel_count(cut)); }

static void copy_rows(real *to, size_t to_stride, const real *from, size_t from_stride, size_t rows,
                      size_t columns) {
    for (size_t i = 0; i < rows; i++)
        EACH_VECTOR(j, columns, {
            vec_store(to + i * to_stride + j, vec_load(from + i * from_stride + j, lanes), lanes);
        });
}

/* to (columns, width) = from (rows, columns) transposed, at most LANES of each; rows past `rows`
 * are taken as zero. */
ALWAYS_INLINE void transpose_block(real *to, size_t to_stride, size_t width, const real *from,
                                   size_t from_stride, size_t rows, size_t columns) {
    vec block[LANES];
    UNROLL_ALL
    for (size_t i = 0; i < LANES; i++)
        block[i] = i < rows ? vec_load(from + i * from_stride, columns) : (vec){0};
    vec_transpose(block);
    UNROLL_ALL
    for (size_t j = 0; j < LANES; j++)
        if (j < columns) vec_store(to + j * to_stride, block[j], width);
}

static void transpose_rows(real *to, size_t to_stride, const real *from, size_t from_stride,
                           size_t rows, size_t columns) {
    EACH_VECTOR(j, columns, {
        if (rows == LANES)
            transpose_block(to + j * to_stride, to_stride, LANES, from + j, from_stride, LANES,
                            lanes);
        else
            transpose_block(to + j * to_stride, to_stride, min_size(to_stride, LANES), from + j,
                            from_stride, rows, lanes);
    });
}

/* Software prefetch of `bytes` bytes, one request for each cache line.  It must be inline: GCC
 * takes a function of prefetches alone for one without effect and drops calls to it. */
ALWAYS_INLINE void prefetch(const void *at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)at + i, 0, 2);
    __builtin_prefetch((const char *)at + bytes - 1, 0, 2);
}

/* Packs rows first to last - 1 of a block of b (k, cut.columns).  Reads b in the order of its
 * memory, whole rows, or where b is a transpose whole columns: the hardware prefetcher follows a
 * sequence of addresses, and without it memory is too slow. */
static void pack_b_rows(real *to, matrix b, size_t k, size_t first, size_t last, columns_cut cut) {
    enum { AHEAD = 8 }; /* rows; 16 are no different */
    for (size_t p = first; p < last; p++) {
        if (p + AHEAD < last)
            prefetch(b.at + (p + AHEAD) * b.row_stride, cut.columns * sizeof(real));
        for (size_t panel = 0; panel < cut.panels; panel++) {
            const size_t start = panel_start(cut, panel);
            const size_t width = panel_start(cut, panel + 1) - start;
            real *row = to + start * k + p * width;
            for (size_t j = 0; j < width; j += LANES)
                vec_store(row + j, vec_load(b.at + p * b.row_stride + start + j, LANES), LANES);
        }
        const size_t start = cut.whole * LANES;
        for (size_t j = 0; j < cut.last; j += LANES)
            vec_store(to + start * k + p * cut.last + j,
                      vec_load(b.at + p * b.row_stride + start + j,
                               min_size(cut.columns - (start + j), LANES)),
                      min_size(cut.last - j, LANES));
    }
}

/* Packs panels first to last - 1 of a block of b, whose columns are contiguous. */
static void pack_b_columns(real *to, matrix b, size_t k, size_t first, size_t last,
                           columns_cut cut) {
    for (size_t panel = first; panel < last; panel++) {
        const size_t start = panel_start(cut, panel), width = panel_start(cut, panel + 1) - start;
        for (size_t j = 0; j < width; j += LANES) {
            for (size_t i = start + j + LANES; i < min_size(start + j + 2 * LANES, cut.columns);
                 i++)
                prefetch(b.at + i * b.col_stride, k * sizeof(real));
            transpose_rows(to + start * k + j, width, b.at + (start + j) * b.col_stride,
                           b.col_stride, min_size(cut.columns - (start + j), LANES), k);
        }
    }
}

/* Packs one of some shares of a block of b (k, cut.columns). */
static void pack_b(real *to, matrix b, size_t k, columns_cut cut, size_t share, size_t shares) {
    const int by_rows = b.col_stride == 1;
    const size_t count = by_rows ? k : panel_count(cut);
    (by_rows ? pack_b_rows : pack_b_columns)(to, b, k, share_start(count, shares, share),
                                             share_start(count, shares, share + 1), cut);
}

/* The submatrix that begins at (row, column). */
static matrix submatrix(matrix a, size_t row, size_t column) {
    a.at += row * a.row_stride + column * a.col_stride;
    return a;
}

/* Whether a panel of a, of depth k, can be read in place by `times` panels of b: if only one reads
 * it, or if L1 keeps it meanwhile.  For that its rows or columns must not fall into the same sets,
 * nor its columns, each at least one cache line, be too many. */
static int can_skip_packing_a(matrix a, size_t k, size_t times) {
    enum { L1_LINES = 256, SHARED_SETS = 1024 };
    const int by_rows = a.col_stride == 1;
    return times == 1 ||
           ((by_rows || k <= L1_LINES / 2) &&
            (by_rows ? a.row_stride : a.col_stride) * sizeof(real) % SHARED_SETS != 0);
}

/* Where a's columns are contiguous, PANEL_GROUP panels are packed together: neighbouring panels
 * share cache lines, which packing one panel at a time would read twice.  A packed column is stored
 * as whole vectors, A_COLUMN_STRIDE elements from the next; elements past the panel's rows are not
 * read. */
enum { PANEL_GROUP = 4, A_COLUMN_STRIDE = (MR + LANES - 1) / LANES * LANES };

/* Packs `panels` adjacent panels of a, of depth k; rows[i] is the height of panel i.  a begins at
 * the first panel's first row and has m rows from there to its end, past which nothing is read. */
static void pack_columns(real *to, matrix a, const size_t *rows, size_t panels, size_t m,
                         size_t k) {
    for (size_t p = 0; p < k; p++, to += A_COLUMN_STRIDE) {
        const real *column = a.at + p * a.col_stride;
        for (size_t i = 0, rest = m; i < panels; column += rows[i], rest -= rows[i], i++)
            for (size_t j = 0; j < A_COLUMN_STRIDE && j < rest; j += LANES)
                vec_store(to + i * k * A_COLUMN_STRIDE + j,
                          vec_load(column + j, min_size(rest - j, LANES)), LANES);
    }
}

/* Rows of a, of some depth, that are multiplied next and prefetched meanwhile, a few runs of
 * contiguous elements at a time.  runs 0: nothing is. */
typedef struct {
    const real *at;
    size_t runs, each, stride, bytes; /* left; at a time; from one to the next; of each */
} prefetch_job;

/* `rows` rows of depth k, in `times` times. */
static prefetch_job make_prefetch_job(matrix a, size_t rows, size_t k, size_t times) {
    const int by_rows = a.col_stride == 1;
    const size_t runs = rows == 0 ? 0 : by_rows ? rows : k;
    return (prefetch_job){a.at, runs, ceil_div(runs, times), by_rows ? a.row_stride : a.col_stride,
                          (by_rows ? k : rows) * sizeof(real)};
}

ALWAYS_INLINE void prefetch_some(prefetch_job *p) {
    for (size_t i = min_size(p->each, p->runs); i > 0; i--, p->runs--, p->at += p->stride)
        prefetch(p->at, p->bytes);
}

#endif
