/* What a matrix product is made of, however it is cut into tasks: the job, and the macro-kernel,
 * which multiplies panels of a by panels of b. */
#ifndef FASTFC_GEMM_MACRO_KERNEL_C
#define FASTFC_GEMM_MACRO_KERNEL_C

#include "fastfc.h"
#include "gemm/pack.c"
#include "gemm/tile.c"
#include "gemm/zeros.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <stdint.h>

/* Split-K is for c of at most SMALL_M rows and SMALL_N columns, and has at most MOST_PARTS parts.
 */
enum { SMALL_M = 256, SMALL_N = 128, MOST_PARTS = 16 };

/* Columns of a block of b. */
enum { MOST_COLUMNS = SMALL_M * SMALL_N * MOST_PARTS / KC / (NV * LANES) * (NV * LANES) };

/* How many panels of b, of a part of the depth, fill half of L2. */
static size_t panels_in_cache(void) {
    const size_t fit = fc_get_l2_bytes() / 2 / (sizeof(real) * KC * NV * LANES);
    return fit > 0 ? fit : 1;
}

/* A task should take several microseconds at least.  A product is cut into tasks of TASK_WORK
 * multiply-adds; if these are fewer than MANY_TASKS, into up to MANY_TASKS smaller ones of at least
 * SMALL_TASK_WORK, so that every thread gets some.  ENOUGH_TASKS may well be larger than that.  A
 * task that packs copies PACK_WORK elements. */
enum { TASK_WORK = 1 << 20, SMALL_TASK_WORK = 1 << 17, MANY_TASKS = 8, ENOUGH_TASKS = 32 };
enum { PACK_WORK = 1 << 14 };

/* Bytes that L1 keeps of a while panels of b pass through it. */
enum { L1_SHARE = 1 << 14 };

/* The workspace holds what all threads share (the packed block of b, or split-K's partial sums);
 * each thread's scratch holds its packed panels of a, and for split-K its own block of b. */
#define SHARED_REALS ((size_t)MOST_PARTS * SMALL_M * SMALL_N)
#define PACKED_A ((size_t)PANEL_GROUP * A_COLUMN_STRIDE * A_ROW_STRIDE)
#define SCRATCH_REALS (PACKED_A + (size_t)KC * (SMALL_N + NV * LANES))

_Static_assert(SHARED_REALS * sizeof(real) <= FC_SHARED_BYTES, "partial sums fit the workspace");
_Static_assert((size_t)KC *MOST_COLUMNS <= SHARED_REALS, "a part of a block of b fits it too");
_Static_assert(SCRATCH_REALS * sizeof(real) <= FC_SCRATCH_BYTES, "packed panels fit the scratch");

/* A task of the caller's, unrelated to the product, that runs beside the product's tasks; `run` may
 * be NULL. */
typedef struct {
    fc_task run;
    void *context;
} side_task;

/* What the caller does with finished rows while they are in cache.  run is called for rows first to
 * last - 1 of c, which stand at `rows`, by the thread that has just completed them, once for each
 * row of c; it may change them.  run may be NULL.  consumes_c says that nobody else reads c: the
 * rows may then be handed over in scratch memory, and c left unset. */
typedef struct {
    void (*run)(const void *context, real *rows, size_t first, size_t last);
    const void *context;
    int consumes_c;
} gemm_epilogue;

/* What a product may do beside a b. */
typedef struct {
    const real *bias;
    int looks_for_zeros; /* a may be mostly zeros, which are then left out */
    side_task side;      /* runs once, as the first of the tasks */
    gemm_epilogue epilogue;
    /* split-K only: fills columns first to last - 1 of a, right before a task reads them */
    void (*fill_a)(const void *context, size_t first, size_t last);
    const void *fill_context;
} gemm_options;

typedef struct {
    real *c;
    size_t ldc;
    matrix a, b;
    size_t m, n, k, parts; /* into which the depth is cut */
    gemm_options options;
    real *shared;  /* the packed block of b; for split-K the partial sums */
    void *scratch; /* the calling thread's */
    fc_task task;  /* what run_with_side_task runs beside the side task */
    /* the block of b that is being multiplied, and of it the parts and panels, in chunks: */
    size_t column, part, end_part, panel, end_panel, chunk;
    columns_cut cut;
    size_t row_tasks, pack_tasks; /* pack_tasks: of a part; 0: b is read in place */
    int leaves_zeros;             /* out of a: it is mostly zeros, and b finite */
} gemm_job;

static size_t part_start(const gemm_job *p, size_t part) {
    return share_start(p->k, p->parts, part);
}

static size_t part_depth(const gemm_job *p, size_t part) {
    return part_start(p, part + 1) - part_start(p, part);
}

/* A part of a block of b (k, cut.columns): packed, or where it stands; and which of its panels are
 * multiplied, so many at a time. */
typedef struct {
    const real *at;
    size_t row_stride; /* 0: packed */
    columns_cut cut;
    size_t k, panel, end_panel, chunk;
    int leaves_zeros; /* a's zeros are left out */
} b_block;

/* Whether `columns` columns of b, of depth k, can be multiplied without packing.  Three conditions:
 * k rows of b span so few pages that the TLB holds them; the last, partial vector can be loaded
 * without reading past the array; and loads do not straddle cache lines, or if they do, too few
 * panels of a (which has m rows) read b for packing to pay. */
static int can_skip_packing_b(matrix b, size_t columns, size_t k, size_t m) {
    enum { SEVERAL_PAGES = 1 << 18, FEW_PANELS = 24 };
    const int aligned = ((uintptr_t)b.at | b.row_stride * sizeof(real)) % VEC_BYTES == 0;
    return b.col_stride == 1 && k * b.row_stride * sizeof(real) <= SEVERAL_PAGES &&
           (VEC_MASKED || b.padded || columns % LANES == 0) &&
           (aligned || ceil_div(m, MR) <= FEW_PANELS);
}

/* `columns` columns of b, of depth k: packed into `packed` unless they can be read in place. */
static b_block prepare_b_block(matrix b, size_t columns, size_t k, size_t m, real *packed) {
    const columns_cut cut = cut_columns(columns);
    const size_t panels = panel_count(cut);
    if (can_skip_packing_b(b, columns, k, m))
        return (b_block){b.at, b.row_stride, cut, k, 0, panels, panels, 0};
    pack_b(packed, b, k, cut, 0, 1);
    return (b_block){packed, 0, cut, k, 0, panels, panels, 0};
}

/* Rows of a, from some column on. */
typedef struct {
    matrix at;
    size_t rows;
} rows_of_a;

/* Panels first to last - 1 of a, from column `start` on. */
static rows_of_a panels_of_a(const gemm_job *p, size_t first, size_t last, size_t start) {
    const size_t panels = ceil_div(p->m, MR), row = share_start(p->m, panels, first);
    return (rows_of_a){submatrix(p->a, row, start), share_start(p->m, panels, last) - row};
}

/* One panel of a times panels first to last - 1 of b, plus the addend, to the rows of c.  addend
 * NULL means zero.  Meanwhile prefetches some of what is next. */
static void multiply_panel(real *c, size_t ldc, const real *addend, size_t ld_addend, a_panel a,
                           size_t rows, const b_block *b, size_t first, size_t last,
                           prefetch_job *next) {
    static const real zeros[NV * LANES];
    const columns_cut cut = b->cut;
    for (size_t panel = first; panel < last; panel++) {
        prefetch_some(next);
        const size_t column = panel_start(cut, panel), width = panel_start(cut, panel + 1) - column;
        micro_kernel(c + column, ldc, addend ? addend + column : zeros, ld_addend, a,
                     b->at + column * (b->row_stride ? 1 : b->k),
                     b->row_stride ? b->row_stride : width, b->k,
                     min_size(cut.columns - column, width), rows, width);
    }
}

/* Panels first to last - 1 of a block of b, of which there are at most PANELS. */
static panels_of_b some_panels(const b_block *b, size_t first, size_t last) {
    panels_of_b some;
    for (size_t i = 0; i < PANELS; i++) {
        const size_t panel = min_size(first + i, last - 1), column = panel_start(b->cut, panel);
        some.at[i] = b->at + column * (b->row_stride ? 1 : b->k);
        some.stride[i] = b->row_stride ? b->row_stride : panel_start(b->cut, panel + 1) - column;
    }
    return some;
}

/* The macro-kernel where zeros of a are left out: all its rows times panels of b.  c and addend
 * stand at the first row. */
NEVER_INLINE void multiply_strips(real *c, size_t ldc, const real *addend, size_t ld_addend,
                                  rows_of_a a, const b_block *b) {
    static const real zeros[STRIP_VECTORS * LANES];
    uint16_t numbers[STRIPS][MOST_NUMBERS];
    strip strips[STRIPS];
    for (size_t i = 0; i < STRIPS; i++) strips[i].numbers = numbers[i];
    for (size_t row = 0; row < a.rows; row += LANES) {
        const size_t rows = min_size(a.rows - row, LANES);
        make_strips(strips, submatrix(a.at, row, 0), rows, b->k);
        for (size_t panel = b->panel, next; panel < b->end_panel; panel = next) {
            const size_t column = panel_start(b->cut, panel);
            const int whole = panel_start(b->cut, panel + 1) - column == NV * LANES;
            next = whole ? min_size(panel + PANELS, b->end_panel) : panel + 1;
            const size_t columns = min_size(panel_start(b->cut, next), b->cut.columns) - column;
            const size_t vectors = ceil_div(columns, LANES);
            const panels_of_b of_b = some_panels(b, panel, next);
            for (size_t i = row; i < row + rows; i += STRIP)
                multiply_strip(c + i * ldc + column, ldc,
                               addend ? addend + i * ld_addend + column : zeros, ld_addend,
                               &strips[(i - row) / STRIP], of_b, columns - (vectors - 1) * LANES,
                               vectors);
        }
    }
}

/* The macro-kernel: panels first to last - 1 of a, from its column `start` on, times panels of b,
 * of which a chunk is in use at a time: what L2 is to keep.  c and addend stand at the first
 * panel's row.  `after`: what is multiplied after that.
 *
 * Where a's rows are contiguous and are packed, `packed` holds one panel, or a group of them if
 * there are several chunks. */
static void macro_kernel(const gemm_job *p, size_t first, size_t last, size_t start, real *c,
                         size_t ldc, const real *addend, size_t ld_addend, const b_block *b,
                         real *packed, rows_of_a after) {
    if (b->leaves_zeros) {
        multiply_strips(c, ldc, addend, ld_addend, panels_of_a(p, first, last, start), b);
        return;
    }
    const size_t panels = ceil_div(p->m, MR), k = b->k, b_panels = b->end_panel - b->panel;
    const size_t bytes = p->m * k * sizeof(real);
    const int in_l1 = bytes <= L1_SHARE; /* all of a: nothing to prefetch */
    const int ready = can_skip_packing_a(p->a, k, panel_count(b->cut)),
              by_rows = p->a.col_stride == 1;
    for (size_t group = first, count; group < last; group += count) {
        count =
            by_rows && (ready || b_panels <= b->chunk) ? 1 : min_size(last - group, PANEL_GROUP);
        const rows_of_a now = panels_of_a(p, group, group + count, start);
        const rows_of_a next =
            group + count < last
                ? panels_of_a(p, group + count, min_size(last, group + 2 * count), start)
                : after;
        prefetch_job prefetching =
            make_prefetch_job(next.at, in_l1 ? 0 : next.rows, k, count * b_panels);
        size_t rows[PANEL_GROUP];
        for (size_t i = 0; i < count; i++)
            rows[i] =
                share_start(p->m, panels, group + i + 1) - share_start(p->m, panels, group + i);
        const matrix a = now.at;
        if (!ready && by_rows)
            copy_rows(packed, A_ROW_STRIDE, a.at, a.row_stride, now.rows, k);
        else if (!ready)
            pack_columns(packed, a, rows, count, p->m - share_start(p->m, panels, group), k);
        for (size_t panel = b->panel; panel < b->end_panel; panel += b->chunk) {
            a_panel at = {ready ? a.at : packed, by_rows ? a.row_stride : a.col_stride, by_rows};
            if (!ready) at.stride = by_rows ? A_ROW_STRIDE : A_COLUMN_STRIDE;
            for (size_t i = 0, done = 0; i < count; done += rows[i], i++) {
                multiply_panel(c + done * ldc, ldc, addend ? addend + done * ld_addend : NULL,
                               ld_addend, at, rows[i], b, panel,
                               min_size(panel + b->chunk, b->end_panel), &prefetching);
                at.at += by_rows ? rows[i] * at.stride : ready ? rows[i] : A_COLUMN_STRIDE * k;
            }
        }
        c += now.rows * ldc;
        if (addend) addend += now.rows * ld_addend;
    }
}

static void run_with_side_task(void *context, size_t task, void *scratch) {
    const gemm_job *p = context;
    if (task == 0)
        p->options.side.run(p->options.side.context, 0, scratch);
    else
        p->task(context, task - 1, scratch);
}

/* Runs `count` tasks, and the side task if it has not yet run.  A single task is too little work
 * to wake other threads for, so the caller then runs both: on cores that share their arithmetic
 * units (SMT), a worker that spins beside the caller slows it down (a training step of the digits
 * took 20 us instead of 13). */
static void run_tasks(gemm_job *p, fc_task task, size_t count) {
    const side_task *side = &p->options.side;
    p->task = task;
    if (side->run && count > 1) {
        fc_run(run_with_side_task, p, count + 1, p->scratch);
    } else {
        if (side->run) side->run(side->context, 0, p->scratch);
        fc_run(task, p, count, p->scratch);
    }
    p->options.side.run = NULL;
}

static gemm_job make_gemm_job(real *c, size_t ldc, matrix a, matrix b, gemm_options options,
                              size_t m, size_t n, size_t k, void *workspace) {
    gemm_job p = {.c = c, .ldc = ldc, .a = a, .b = b, .m = m, .n = n, .k = k, .options = options};
    p.shared = workspace;
    p.scratch = (char *)workspace + FC_SHARED_BYTES;
    p.parts = ceil_div(k, KC);
    return p;
}

#endif
