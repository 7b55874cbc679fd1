/* Matrix product:  c = bias + a b.
 *
 * c: (m, n) dense, set.  a: (m, k) and b: (k, n), either of which may be a transpose.  bias: a row
 * added to every row of c, or NULL.
 *
 * The loops around the micro-kernel (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015):
 * columns of b in blocks of NC, the depth in parts of KC, then panels of rows against panels of
 * columns.  A block of b is packed once, for all threads; each thread packs the panels of a that it
 * works on.  The arrays of a network are laid out so that they need no packing.  Rows, and vectors
 * of columns, are divided evenly among panels, so that only the last vector is ever padded.  While
 * one panel of a is multiplied, the next one is prefetched by software, because the factors have
 * usually left L2 since their last use.
 *
 * A small c of great depth would be too few tasks.  Its depth is divided among tasks instead
 * (split-K): each packs its own part of a and b and writes a partial sum, and a second job adds the
 * partial sums in order.
 *
 * Measured without gain: a depth KC of 320 to 512 for float32, 128 or 192 for float64 (no
 * different, or 2 to 8 % slower); prefetching rows of b while it is packed, or while the part of
 * the depth before it is multiplied (no different, or 2 % slower); narrower blocks of b of the
 * whole depth, so that c is not read and written once for each part of it (4 % slower: a is packed
 * more often); tasks of several panels where an epilogue updates weights (3 to 7 % slower: the
 * weights push b out of L2).
 *
 * Every element is summed in one order, which k alone decides: to the bias the sum of each part of
 * the depth is added in turn, and that sum runs upwards from zero.  Neither how the work is cut
 * into tasks nor which thread runs them changes a bit of it. */
#ifndef FASTFC_GEMM_GEMM_C
#define FASTFC_GEMM_GEMM_C

#include "fastfc.h"
#include "gemm/pack.c"
#include "gemm/tile.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <stdint.h>

/* A block of b fills half of L2.  Its columns are whole panels, and no more than fit the workspace.
 */
enum { MOST_NC = FC_DOUBLE ? 512 : 1024 };

static size_t block_columns(void) {
    const size_t panel = NV * LANES, fit = fc_get_l2_bytes() / 2 / (KC * sizeof(real));
    return fit < panel ? panel : min_size(fit, MOST_NC) / panel * panel;
}

/* Split-K is for c of at most SMALL_M rows and SMALL_N columns, and has at most MOST_PARTS parts.
 */
enum { SMALL_M = 256, SMALL_N = 128, MOST_PARTS = 16 };

/* A task should take several microseconds at least.  A product is cut into tasks of TASK_WORK
 * multiply-adds; if these are fewer than MANY_TASKS, into up to MANY_TASKS smaller ones of at least
 * SMALL_TASK_WORK, so that every thread gets some.  A task that packs copies PACK_WORK elements. */
enum { TASK_WORK = 1 << 20, SMALL_TASK_WORK = 1 << 17, MANY_TASKS = 8, PACK_WORK = 1 << 14 };

/* The workspace holds what all threads share (the packed block of b, or split-K's partial sums);
 * each thread's scratch holds its packed panels of a, and for split-K its own block of b. */
#define SHARED_REALS ((size_t)MOST_PARTS * SMALL_M * SMALL_N)
#define PACKED_A ((size_t)PANEL_GROUP * A_COLUMN_STRIDE * A_ROW_STRIDE)
#define SCRATCH_REALS (PACKED_A + (size_t)KC * (SMALL_N + NV * LANES))

_Static_assert(SHARED_REALS * sizeof(real) <= FC_SHARED_BYTES, "partial sums fit the workspace");
_Static_assert((size_t)KC *(MOST_NC + NV * LANES) <= SHARED_REALS,
               "a block of b fits the workspace");
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
    side_task side; /* runs once, as the first of the tasks */
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
    size_t nc;             /* columns of a block of b */
    gemm_options options;
    real *shared;  /* the packed block of b; for split-K the partial sums */
    void *scratch; /* the calling thread's */
    fc_task task;  /* what run_with_side_task runs beside the side task */
    /* the block of b that is being multiplied: */
    size_t row_tasks, pack_tasks, part, column;
    columns_cut cut;
} gemm_job;

static size_t part_start(const gemm_job *p, size_t part) {
    return share_start(p->k, p->parts, part);
}

static size_t part_depth(const gemm_job *p, size_t part) {
    return part_start(p, part + 1) - part_start(p, part);
}

/* A block of b (k, cut.columns): packed, or where it stands. */
typedef struct {
    const real *at;
    size_t row_stride; /* 0: packed */
    columns_cut cut;
    size_t k;
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
    if (can_skip_packing_b(b, columns, k, m)) return (b_block){b.at, b.row_stride, cut, k};
    pack_b(packed, b, k, 0, k, cut);
    return (b_block){packed, 0, cut, k};
}

/* One panel of a times every panel of b, plus the addend, to the rows of c.  addend NULL means
 * zero. Meanwhile prefetches next_rows rows of `next`, the panels of a that are multiplied after
 * this group of panels: this call prefetches share number `part` of `parts`. */
static void multiply_panel(real *c, size_t ldc, const real *addend, size_t ld_addend, a_panel a,
                           size_t rows, const b_block *b, matrix next, size_t next_rows,
                           size_t part, size_t parts) {
    static const real zeros[NV * LANES];
    const columns_cut cut = b->cut;
    const size_t panels = panel_count(cut);
    for (size_t panel = 0; panel < panels; panel++) {
        if (next_rows) prefetch_a(next, next_rows, b->k, part * panels + panel, parts * panels);
        const size_t column = panel_start(cut, panel), width = panel_start(cut, panel + 1) - column;
        micro_kernel(c + column, ldc, addend ? addend + column : zeros, ld_addend, a,
                     b->at + column * (b->row_stride ? 1 : b->k),
                     b->row_stride ? b->row_stride : width, b->k,
                     min_size(cut.columns - column, width), rows, width);
    }
}

/* The macro-kernel: panels first to last - 1 of a, from its column `start` on, times a block of b.
 * c and addend stand at the first panel's row. */
static void macro_kernel(const gemm_job *p, size_t first, size_t last, size_t start, real *c,
                         size_t ldc, const real *addend, size_t ld_addend, const b_block *b,
                         real *packed) {
    const size_t panels = ceil_div(p->m, MR), k = b->k;
    const int ready = can_skip_packing_a(p->a, k, panel_count(b->cut)),
              by_rows = p->a.col_stride == 1;
    for (size_t group = first, count; group < last; group += count) {
        count = by_rows ? 1 : min_size(last - group, PANEL_GROUP);
        const size_t row = share_start(p->m, panels, group);
        const size_t next = share_start(p->m, panels, group + count);
        const size_t after = share_start(p->m, panels, min_size(last, group + 2 * count));
        size_t rows[PANEL_GROUP];
        for (size_t i = 0; i < count; i++)
            rows[i] =
                share_start(p->m, panels, group + i + 1) - share_start(p->m, panels, group + i);
        const matrix a = submatrix(p->a, row, start);
        if (!ready && by_rows) copy_rows(packed, A_ROW_STRIDE, a.at, a.row_stride, rows[0], k);
        if (!ready && !by_rows) pack_columns(packed, a, rows, count, p->m - row, k);
        a_panel panel = {ready ? a.at : packed, by_rows ? a.row_stride : a.col_stride, by_rows};
        for (size_t i = 0; i < count; i++) {
            if (!ready) panel.stride = by_rows ? A_ROW_STRIDE : A_COLUMN_STRIDE;
            multiply_panel(c, ldc, addend, ld_addend, panel, rows[i], b,
                           submatrix(p->a, next, start), after - next, i, count);
            panel.at += ready ? rows[i] * (by_rows ? a.row_stride : 1) : A_COLUMN_STRIDE * k;
            c += rows[i] * ldc;
            if (addend) addend += rows[i] * ld_addend;
        }
    }
}

/* Task: pack some rows of the block of b. */
static void pack_b_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const gemm_job *p = context;
    const size_t k = part_depth(p, p->part);
    pack_b(p->shared, submatrix(p->b, part_start(p, p->part), p->column), k,
           share_start(k, p->pack_tasks, task), share_start(k, p->pack_tasks, task + 1), p->cut);
}

/* Task: some panels of a times the block of b; after the last block, the epilogue. */
static void multiply_rows_task(void *context, size_t task, void *scratch) {
    const gemm_job *p = context;
    const gemm_epilogue *epilogue = &p->options.epilogue;
    const size_t panels = ceil_div(p->m, MR), start = part_start(p, p->part);
    const size_t first = share_start(panels, p->row_tasks, task);
    const size_t last = share_start(panels, p->row_tasks, task + 1);
    const size_t row = share_start(p->m, panels, first), end = share_start(p->m, panels, last);
    real *packed = scratch, *rows = p->c + row * p->ldc;
    if (epilogue->consumes_c && p->parts == 1 && p->cut.columns == p->n &&
        PACKED_A + (end - row) * p->ldc <= SCRATCH_REALS)
        rows = packed + PACKED_A; /* they stay in cache, and c is not written */
    const real *bias = p->options.bias ? p->options.bias + p->column : NULL;
    b_block b = {p->shared, 0, p->cut, part_depth(p, p->part)};
    if (p->pack_tasks == 0)
        b.at = submatrix(p->b, start, p->column).at, b.row_stride = p->b.row_stride;
    real *c = rows + p->column;
    macro_kernel(p, first, last, start, c, p->ldc, p->part ? c : bias, p->part ? p->ldc : 0, &b,
                 packed);
    if (epilogue->run && p->part + 1 == p->parts && p->column + p->cut.columns == p->n)
        epilogue->run(epilogue->context, rows, row, end);
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

static void gemm_blocked(gemm_job *p) {
    for (p->column = 0; p->column < p->n; p->column += p->nc) {
        p->cut = cut_columns(min_size(p->n - p->column, p->nc));
        for (p->part = 0; p->part < p->parts && !fc_look(); p->part++) {
            const size_t k = part_depth(p, p->part), work = p->m * p->cut.columns * k;
            const size_t few = min_size(MANY_TASKS, ceil_div(work, SMALL_TASK_WORK));
            const size_t many = ceil_div(work, TASK_WORK);
            p->pack_tasks = 0;
            if (!can_skip_packing_b(p->b, p->cut.columns, k, p->m)) {
                p->pack_tasks = min_size(k, ceil_div(k * p->cut.columns, PACK_WORK));
                fc_run(pack_b_task, p, p->pack_tasks, p->scratch);
            }
            p->row_tasks = min_size(ceil_div(p->m, MR), few > many ? few : many);
            run_tasks(p, multiply_rows_task, p->row_tasks);
        }
    }
}

/* Task: the partial sum of one part of the depth. */
static void split_k_task(void *context, size_t part, void *scratch) {
    const gemm_job *p = context;
    real *packed_b = scratch, *packed_a = packed_b + KC * (SMALL_N + NV * LANES);
    real *sum = p->shared + part * p->m * p->n;
    const size_t end = part_start(p, part + 1);
    if (p->options.fill_a) p->options.fill_a(p->options.fill_context, part_start(p, part), end);
    for (size_t start = part_start(p, part), k; start < end && !fc_look(); start += k) {
        k = min_size(end - start, KC);
        const real *addend = start > part_start(p, part) ? sum : NULL;
        const b_block b = prepare_b_block(submatrix(p->b, start, 0), p->n, k, p->m, packed_b);
        macro_kernel(p, 0, ceil_div(p->m, MR), start, sum, p->n, addend, addend ? p->n : 0, &b,
                     packed_a);
    }
}

/* Adds up the partial sums, and the bias: rows start to end - 1 of some columns of c. */
static void split_k_reduce(const gemm_job *p, size_t start, size_t end, size_t column,
                           size_t columns) {
    const real *bias = p->options.bias ? p->options.bias + column : NULL;
    for (size_t i = start; i < end; i++)
        EACH_VECTOR(j, columns, {
            vec sum = bias ? vec_load(bias + j, lanes) : (vec){0};
            for (size_t part = 0; part < p->parts; part++)
                sum += vec_load(p->shared + (part * p->m + i) * p->n + column + j, lanes);
            vec_store(p->c + i * p->ldc + column + j, sum, lanes);
        });
}

static void split_k_reduce_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const gemm_job *p = context;
    const size_t start = share_start(p->m, p->row_tasks, task);
    const size_t end = share_start(p->m, p->row_tasks, task + 1);
    split_k_reduce(p, start, end, 0, p->n);
    if (p->options.epilogue.run)
        p->options.epilogue.run(p->options.epilogue.context, p->c + start * p->ldc, start, end);
}

static gemm_job make_gemm_job(real *c, size_t ldc, matrix a, matrix b, gemm_options options,
                              size_t m, size_t n, size_t k, void *workspace) {
    gemm_job p = {.c = c, .ldc = ldc, .a = a, .b = b, .m = m, .n = n, .k = k, .options = options};
    p.shared = workspace;
    p.scratch = (char *)workspace + FC_SHARED_BYTES;
    p.parts = ceil_div(k, KC);
    p.nc = block_columns();
    return p;
}

/* Whether the depth is divided among tasks. */
static int is_split_k(const gemm_job *p) {
    return p->m <= SMALL_M && p->n <= SMALL_N && p->parts >= 3;
}

/* Computes the partial sums that split_k_reduce adds up. */
static void split_k_multiply(gemm_job *p) {
    p->parts = min_size(p->parts, MOST_PARTS);
    run_tasks(p, split_k_task, p->parts);
}

static void run_gemm(gemm_job *p) {
    if (p->m == 0 || p->n == 0) return;
    if (p->k == 0) { /* the sum of nothing is zero: c is the bias */
        for (size_t i = 0; i < p->m; i++)
            for (size_t j = 0; j < p->n; j++)
                p->c[i * p->ldc + j] = p->options.bias ? p->options.bias[j] : 0;
        if (p->options.epilogue.run)
            p->options.epilogue.run(p->options.epilogue.context, p->c, 0, p->m);
    } else if (is_split_k(p)) {
        split_k_multiply(p);
        p->row_tasks = min_size(p->m, ceil_div(p->m * p->n * p->parts, TASK_WORK / 32));
        fc_run(split_k_reduce_task, p, p->row_tasks, p->scratch);
    } else {
        gemm_blocked(p);
    }
}

/* c = bias + a b, and what the options ask for.  Rows of c are ldc elements apart. */
static void gemm(real *c, size_t ldc, matrix a, matrix b, gemm_options options, size_t m, size_t n,
                 size_t k, void *workspace) {
    gemm_job p = make_gemm_job(c, ldc, a, b, options, m, n, k, workspace);
    run_gemm(&p);
}

/* Whether gemm_columns can compute some columns of c apart from the others: a needs no packing, and
 * the depth is one part. */
static int can_make_columns(const gemm_job *p) {
    return p->parts == 1 && p->a.col_stride == 1 && can_skip_packing_a(p->a, p->k, NV);
}

/* All rows of at most SMALL_N columns of c; `column`, the first, is a multiple of LANES. */
static void gemm_columns(const gemm_job *p, size_t column, size_t columns, void *scratch) {
    const b_block b = prepare_b_block(submatrix(p->b, 0, column), columns, p->k, p->m, scratch);
    const real *bias = p->options.bias ? p->options.bias + column : NULL;
    macro_kernel(p, 0, ceil_div(p->m, MR), 0, p->c + column, p->ldc, bias, 0, &b, NULL);
}

/* c = a b, for benchmarks.  a and b are dense, or if `by_columns` their transposes are. */
static void gemm_plain(real *c, const real *a, int a_by_columns, const real *b, int b_by_columns,
                       size_t m, size_t n, size_t k, void *workspace) {
    const matrix left = a_by_columns ? (matrix){a, 1, m, 0} : (matrix){a, k, 1, 0};
    const matrix right = b_by_columns ? (matrix){b, 1, k, 0} : (matrix){b, n, 1, 0};
    gemm(c, n, left, right, (gemm_options){0}, m, n, k, workspace);
}

#endif
