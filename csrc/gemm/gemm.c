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
 * never (no different).  Panels of w kept from one step to the next, which the updates would write,
 * could gain what packing takes: of medium steps 2 to 6 %, of large ones 0 to 4 %.
 *
 * Every element is summed in one order, which k alone decides: to the bias the sum of each part of
 * the depth is added in turn, and that sum runs upwards from zero.  Neither how the work is cut
 * into tasks nor which thread runs them changes a bit of it. */
#ifndef FASTFC_GEMM_GEMM_C
#define FASTFC_GEMM_GEMM_C

#include "fastfc.h"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "gemm/split_k.c"
#include "gemm/zeros.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* A part of the block of b that is being multiplied: where it stands, or in `shared`, where the
 * parts follow one another. */
static b_block part_of_b(const gemm_job *p, size_t part) {
    const size_t start = part_start(p, part);
    b_block b = {p->shared, 0,
                 p->cut,    part_depth(p, part),
                 p->panel,  p->end_panel,
                 p->chunk,  __atomic_load_n(&p->leaves_zeros, __ATOMIC_RELAXED)};
    if (p->pack_tasks == 0)
        b.at = submatrix(p->b, start, p->column).at, b.row_stride = p->b.row_stride;
    else
        b.at += (start - part_start(p, p->part)) * padded_columns(p->cut);
    return b;
}

/* Task: pack a share of a part of the block of b. */
static void pack_b_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    gemm_job *p = context;
    const size_t part = p->part + task / p->pack_tasks, share = task % p->pack_tasks;
    const size_t k = part_depth(p, part), first = share_start(k, p->pack_tasks, share);
    const matrix b = submatrix(p->b, part_start(p, part), p->column);
    const b_block block = part_of_b(p, part);
    pack_b((real *)block.at, b, k, p->cut, share, p->pack_tasks);
    if (block.leaves_zeros &&
        !is_finite_block(submatrix(b, first, 0), share_start(k, p->pack_tasks, share + 1) - first,
                         p->cut.columns))
        __atomic_store_n(&p->leaves_zeros, 0, __ATOMIC_RELAXED);
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

/* Cuts the next columns of b into a block; depth: of its deepest part. */
static void begin_block(gemm_job *p, size_t depth, int *packs_a, int *packs_b) {
    enum { MANY_ROWS = ENOUGH_TASKS * PANEL_GROUP * MR }; /* many groups of panels */
    p->cut = cut_columns(min_size(p->n - p->column, MOST_COLUMNS));
    *packs_a = !can_skip_packing_a(p->a, depth, panel_count(p->cut)) &&
               (p->a.col_stride != 1 || p->m >= MANY_ROWS);
    *packs_b = !can_skip_packing_b(p->b, p->cut.columns, depth, p->m);
    const matrix b = submatrix(p->b, 0, p->column);
    p->leaves_zeros = p->options.looks_for_zeros &&
                      is_mostly_zeros(p->a, p->m, p->cut.columns, p->k) &&
                      (*packs_b || is_finite_block(b, p->k, p->cut.columns)); /* packing asks too */
}

static void gemm_blocked(gemm_job *p) {
    const size_t k = part_depth(p, 0); /* the greatest */
    for (p->column = 0; p->column < p->n; p->column += p->cut.columns) {
        int packs_a, packs_b;
        begin_block(p, k, &packs_a, &packs_b);
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

/* Makes the whole product one block of row_tasks tasks, multiply_rows_task, for whoever runs them
 * among others.  Returns whether it can be: b needs no packing and the depth is one part. */
static int make_row_tasks(gemm_job *p) {
    int packs_a, packs_b;
    if (p->parts != 1 || p->n > MOST_COLUMNS) return 0;
    begin_block(p, p->k, &packs_a, &packs_b);
    p->end_part = 1, p->end_panel = p->chunk = panel_count(p->cut);
    p->row_tasks = count_row_tasks(p, p->m * p->n * p->k, packs_a);
    return !packs_b;
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
    gemm(c, n, left, right, (gemm_options){.looks_for_zeros = 1}, m, n, k, workspace);
}

#endif
