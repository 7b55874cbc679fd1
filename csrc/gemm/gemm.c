/* Matrix product:  c = bias + a b.
 *
 * c: (m, n) dense, set.  a: (m, k) and b: (k, n), either of which may be a transpose.  bias: a row
 * added to every row of c, or NULL.
 *
 * The loops around the micro-kernel (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015):
 * columns of b in blocks, the depth in parts of KC, then panels of rows against panels of columns,
 * as many of these at a time as half of L2 holds.  A block of b is packed once, for all threads, by
 * whole rows; each thread packs the panels of a that it works on, once for all the block.  The
 * arrays of a network are laid out so that they need no packing, but for x where the weights'
 * gradient sums over many examples.  Rows are divided evenly among panels, and only the last vector
 * of columns is ever padded.  What is packed or multiplied next is prefetched by software, because
 * the factors have usually left L2 since their last use.
 *
 * A small c of great depth would be too few tasks.  Its depth is divided among tasks instead
 * (split-K): each packs its own part of a and b and writes a partial sum, and a second job adds the
 * partial sums in order.
 *
 * Measured without gain: a depth KC of 320 to 512 for float32, 128 or 192 for float64 (no
 * different, or 2 to 8 % slower); prefetching rows of b while the part of the depth before it is
 * multiplied (no different, or 2 % slower); narrower blocks of b of the whole depth, so that c is
 * not read and written once for each part of it (4 % slower: a is packed more often); copying a
 * never (no different).
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
    gemm_options options;
    real *shared;  /* the packed block of b; for split-K the partial sums */
    void *scratch; /* the calling thread's */
    fc_task task;  /* what run_with_side_task runs beside the side task */
    /* the block of b that is being multiplied, and of it the parts and panels, in chunks: */
    size_t column, part, end_part, panel, end_panel, chunk;
    columns_cut cut;
    size_t row_tasks, pack_tasks; /* pack_tasks: of a part; 0: b is read in place */
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
        return (b_block){b.at, b.row_stride, cut, k, 0, panels, panels};
    pack_b(packed, b, k, cut, 0, 1);
    return (b_block){packed, 0, cut, k, 0, panels, panels};
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

/* The macro-kernel: panels first to last - 1 of a, from its column `start` on, times panels of b,
 * of which a chunk is in use at a time: what L2 is to keep.  c and addend stand at the first
 * panel's row.  `after`: what is multiplied after that.
 *
 * Where a's rows are contiguous and are packed, `packed` holds one panel, or a group of them if
 * there are several chunks. */
static void macro_kernel(const gemm_job *p, size_t first, size_t last, size_t start, real *c,
                         size_t ldc, const real *addend, size_t ld_addend, const b_block *b,
                         real *packed, rows_of_a after) {
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

/* A part of the block of b that is being multiplied: where it stands, or in `shared`, where the
 * parts follow one another. */
static b_block part_of_b(const gemm_job *p, size_t part) {
    const size_t start = part_start(p, part);
    b_block b = {p->shared, 0, p->cut, part_depth(p, part), p->panel, p->end_panel, p->chunk};
    if (p->pack_tasks == 0)
        b.at = submatrix(p->b, start, p->column).at, b.row_stride = p->b.row_stride;
    else
        b.at += (start - part_start(p, p->part)) * padded_columns(p->cut);
    return b;
}

/* Task: pack a share of a part of the block of b. */
static void pack_b_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const gemm_job *p = context;
    const size_t part = p->part + task / p->pack_tasks, share = task % p->pack_tasks;
    pack_b((real *)part_of_b(p, part).at, submatrix(p->b, part_start(p, part), p->column),
           part_depth(p, part), p->cut, share, p->pack_tasks);
}

/* Task: some panels of a times the block of b; after the last block, the epilogue. */
static void multiply_rows_task(void *context, size_t task, void *scratch) {
    const gemm_job *p = context;
    const gemm_epilogue *epilogue = &p->options.epilogue;
    const size_t panels = ceil_div(p->m, MR), several = p->end_part - p->part > 1;
    const size_t first = share_start(panels, p->row_tasks, task);
    const size_t last = share_start(panels, p->row_tasks, task + 1);
    const size_t row = share_start(p->m, panels, first), end = share_start(p->m, panels, last);
    const int to_end = p->end_part == p->parts && p->end_panel == panel_count(p->cut) &&
                       p->column + p->cut.columns == p->n;
    real *packed = scratch, *rows = p->c + row * p->ldc;
    if (epilogue->consumes_c && to_end && p->part == 0 && p->panel == 0 && p->column == 0 &&
        PACKED_A + (end - row) * p->ldc <= SCRATCH_REALS)
        rows = packed + PACKED_A; /* they stay in cache, and c is not written */
    const real *bias = p->options.bias ? p->options.bias + p->column : NULL;
    for (size_t group = first, after; group < last; group = after) {
        after = several ? min_size(last, group + PANEL_GROUP) : last;
        const size_t from = share_start(p->m, panels, group);
        real *c = rows + p->column + (from - row) * p->ldc;
        for (size_t part = p->part; part < p->end_part; part++) {
            const b_block b = part_of_b(p, part);
            const rows_of_a next = part + 1 < p->end_part
                                       ? panels_of_a(p, group, after, part_start(p, part + 1))
                                       : panels_of_a(p, after, min_size(last, after + PANEL_GROUP),
                                                     part_start(p, p->part));
            macro_kernel(p, group, after, part_start(p, part), c, p->ldc, part ? c : bias,
                         part ? p->ldc : 0, &b, packed, next);
        }
    }
    if (epilogue->run && to_end) epilogue->run(epilogue->context, rows, row, end);
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

/* How many tasks the rows of a make, for so many multiply-adds.  Packing a by groups of panels, so
 * that tasks are no smaller where there are enough. */
static size_t count_row_tasks(const gemm_job *p, size_t work, int packs_a) {
    const size_t panels = ceil_div(p->m, MR), groups = ceil_div(panels, PANEL_GROUP);
    const size_t few = min_size(MANY_TASKS, ceil_div(work, SMALL_TASK_WORK));
    const size_t many = ceil_div(work, TASK_WORK),
                 tasks = min_size(panels, few > many ? few : many);
    return packs_a ? min_size(tasks, groups > ENOUGH_TASKS ? groups : ENOUGH_TASKS) : tasks;
}

/* Multiplies parts p->part to p->end_part - 1 of the block of b, which are packed.  Where a is
 * packed, a task does so once for all of them and all panels.  Where it is read in place, tasks
 * share what half of L2 holds, then the next. */
static void multiply_block(gemm_job *p, int packs_a) {
    const size_t panels = panel_count(p->cut);
    p->chunk = panels_in_cache();
    for (p->panel = 0; p->panel < panels; p->panel = p->end_panel) {
        p->end_panel = packs_a ? panels : min_size(panels, p->panel + p->chunk);
        const size_t columns = panel_start(p->cut, p->end_panel) - panel_start(p->cut, p->panel);
        const size_t depth = part_start(p, p->end_part) - part_start(p, p->part);
        p->row_tasks = count_row_tasks(p, p->m * columns * depth, packs_a);
        run_tasks(p, multiply_rows_task, p->row_tasks);
    }
}

static void gemm_blocked(gemm_job *p) {
    enum { MANY_ROWS = ENOUGH_TASKS * PANEL_GROUP * MR }; /* many groups of panels */
    const size_t k = part_depth(p, 0);                    /* the greatest */
    for (p->column = 0; p->column < p->n; p->column += p->cut.columns) {
        p->cut = cut_columns(min_size(p->n - p->column, MOST_COLUMNS));
        const int packs_a = !can_skip_packing_a(p->a, k, panel_count(p->cut)) &&
                            (p->a.col_stride != 1 || p->m >= MANY_ROWS);
        const int packs_b = !can_skip_packing_b(p->b, p->cut.columns, k, p->m);
        const size_t fit = SHARED_REALS / (k * padded_columns(p->cut));
        const size_t at_once = !packs_a ? 1 : packs_b ? fit : p->parts;
        for (p->part = 0; p->part < p->parts && !fc_look(); p->part = p->end_part) {
            p->end_part = min_size(p->parts, p->part + at_once);
            p->pack_tasks = packs_b ? min_size(k, ceil_div(k * p->cut.columns, PACK_WORK)) : 0;
            fc_run(pack_b_task, p, p->pack_tasks * (p->end_part - p->part), p->scratch);
            multiply_block(p, packs_a);
        }
    }
}

/* Row stride of the partial sums: whole cache lines, so that tasks that add up some columns share
 * none. */
static size_t sums_stride(const gemm_job *p) {
    const size_t line = 64 / sizeof(real);
    return ceil_div(p->n, line) * line;
}

/* Task: the partial sum of one part of the depth. */
static void split_k_task(void *context, size_t part, void *scratch) {
    const gemm_job *p = context;
    real *packed_b = scratch, *packed_a = packed_b + KC * (SMALL_N + NV * LANES);
    const size_t stride = sums_stride(p), end = part_start(p, part + 1);
    real *sum = p->shared + part * p->m * stride;
    if (p->options.fill_a) p->options.fill_a(p->options.fill_context, part_start(p, part), end);
    for (size_t start = part_start(p, part), k; start < end && !fc_look(); start += k) {
        k = min_size(end - start, KC);
        const real *addend = start > part_start(p, part) ? sum : NULL;
        const b_block b = prepare_b_block(submatrix(p->b, start, 0), p->n, k, p->m, packed_b);
        macro_kernel(p, 0, ceil_div(p->m, MR), start, sum, stride, addend, addend ? stride : 0, &b,
                     packed_a, (rows_of_a){p->a, 0});
    }
}

/* Adds up the partial sums, and the bias: rows start to end - 1 of some columns of c. */
static void split_k_reduce(const gemm_job *p, size_t start, size_t end, size_t column,
                           size_t columns) {
    const real *bias = p->options.bias ? p->options.bias + column : NULL;
    const size_t stride = sums_stride(p);
    for (size_t i = start; i < end; i++)
        EACH_VECTOR(j, columns, {
            vec sum = bias ? vec_load(bias + j, lanes) : (vec){0};
            for (size_t part = 0; part < p->parts; part++)
                sum += vec_load(p->shared + (part * p->m + i) * stride + column + j, lanes);
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
    macro_kernel(p, 0, ceil_div(p->m, MR), 0, p->c + column, p->ldc, bias, 0, &b, NULL,
                 (rows_of_a){p->a, 0});
}

/* c = a b, for benchmarks.  a and b are dense, or if `by_columns` their transposes are. */
static void gemm_plain(real *c, const real *a, int a_by_columns, const real *b, int b_by_columns,
                       size_t m, size_t n, size_t k, void *workspace) {
    const matrix left = a_by_columns ? (matrix){a, 1, m, 0} : (matrix){a, k, 1, 0};
    const matrix right = b_by_columns ? (matrix){b, 1, k, 0} : (matrix){b, n, 1, 0};
    gemm(c, n, left, right, (gemm_options){0}, m, n, k, workspace);
}

#endif
