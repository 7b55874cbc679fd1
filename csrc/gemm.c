/* Matrix product:  c = bias + a b.
 *
 * c: (m, n) dense, set.  a: (m, k) and b: (k, n), either of which may be a transpose.  bias: a row
 * added to every row of c, or NULL.
 *
 * The loops around the micro-kernel (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015):
 * columns of b by NC, depth by KC, then panels of rows against panels of columns.  Every thread
 * packs the panels of a that it works on; a block of b is packed once, for all.  Rows and vectors
 * of columns are shared out evenly over panels, so there is no padding but inside the last vector.
 * A small c of great depth is cut along the depth instead: each task packs its own part of a and b
 * and keeps its own sum, and the sums are added in order.
 *
 * Every element is a sum in one order, given by k: bias, then the sum of each part of the depth,
 * that one from zero upwards.  How the work is cut into tasks does not change it, nor who does
 * them. */

enum { NC = FC_DOUBLE ? 256 : 512 };

/* The cut along the depth is for c up to so many rows and columns, and makes so many parts at most.
 */
enum { SMALL_M = 256, SMALL_N = 128, MOST_PARTS = 16 };

/* A task should take several microseconds: multiply-adds and packed elements that are worth one. */
enum { TASK_WORK = 1 << 18, PACK_WORK = 1 << 14 };

/* Scratch of the workspace: for all threads, then for each. */
#define SHARED_REALS ((size_t)MOST_PARTS * SMALL_M * SMALL_N)
#define SCRATCH_REALS ((size_t)MR * PITCH + (size_t)KC * (SMALL_N + NV * LANES))

_Static_assert(SHARED_REALS * sizeof(real) <= FC_SHARED_BYTES, "partial sums fit the workspace");
_Static_assert((size_t)KC *(NC + NV * LANES) <= SHARED_REALS, "a block of b fits the workspace");
_Static_assert(SCRATCH_REALS * sizeof(real) <= FC_SCRATCH_BYTES, "a part fits the workspace");

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

/* The micro-kernel: c (mr, nv vectors) = addend + a panel of a times a panel of b, over k steps.
 * a's panel lies by rows or by columns. */
ALWAYS_INLINE void tile(real *c, size_t ldc, const real *addend, size_t ld_addend, const real *a,
                        const real *b, size_t k, size_t lanes, const int by_rows, const int mr,
                        const int nv) {
    vec sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) sum[i][j] = (vec){0};

    for (size_t p = 0; p < k; p++, a += by_rows ? 1 : mr, b += (size_t)nv * LANES) {
        vec row[NV];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) row[j] = *(const vec *)(b + (size_t)j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const vec element = vec_set(a[by_rows ? i * PITCH : i]);
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

static void any_tile(real *c, size_t ldc, const real *addend, size_t ld_addend, const real *a,
                     const real *b, size_t k, size_t lanes, int by_rows, size_t mr, size_t nv) {
#define TILE(by, rows, vectors)                                                                    \
    tile(c, ldc, addend, ld_addend, a, b, k, lanes, by, rows > MR ? 1 : rows, vectors)
#define TILES(rows)                                                                                \
    case rows:                                                                                     \
        if (rows > MR) break;                                                                      \
        if (by_rows && nv == 2)                                                                    \
            TILE(1, rows, 2);                                                                      \
        else if (by_rows)                                                                          \
            TILE(1, rows, 1);                                                                      \
        else if (nv == 2)                                                                          \
            TILE(0, rows, 2);                                                                      \
        else                                                                                       \
            TILE(0, rows, 1);                                                                      \
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
#undef TILE
}

/* One panel of a against every panel of b.  c is the panel's first row; addend NULL means zero. */
static void panel_times_block(real *c, size_t ldc, const real *addend, size_t ld_addend,
                              const real *a, int by_rows, size_t rows, const real *b,
                              columns_cut cut, size_t k) {
    static const real zeros[NV * LANES];
    for (size_t panel = 0; panel < cut.panels; panel++) {
        const size_t column = panel_start(cut, panel), end = panel_start(cut, panel + 1);
        const size_t lanes = smaller(cut.columns - (end - LANES), LANES);
        any_tile(c + column, ldc, addend ? addend + column : zeros, ld_addend, a, b + column * k, k,
                 lanes, by_rows, rows, (end - column) / LANES);
    }
}

/* A task of the caller's own to run beside the product's; `run` may be NULL. */
typedef struct {
    fc_task run;
    void *context;
} side_task;

/* What the caller does with rows first to last - 1 of c, called once for every row as soon as it is
 * complete, by the thread that made it; `run` may be NULL. */
typedef struct {
    void (*run)(const void *context, size_t first, size_t last);
    const void *context;
} rows_hook;

/* What a product may do besides. */
typedef struct {
    const real *bias;
    side_task side; /* runs once, before the first task that multiplies */
    rows_hook done;
} extras;

typedef struct {
    real *c;
    matrix a, b;
    size_t m, n, k, parts; /* parts of the depth */
    extras with;
    real *shared;  /* the packed block of b; or the sums of the parts */
    void *scratch; /* the caller's */
    fc_task task;  /* rows_task or depth_task */
    /* the block in work: */
    size_t row_tasks, pack_tasks, part, column;
    columns_cut cut;
} product;

static size_t depth_start(const product *p, size_t part) {
    return part_start(p->k, p->parts, part);
}

static size_t depth_of(const product *p, size_t part) {
    return depth_start(p, part + 1) - depth_start(p, part);
}

/* Task: pack some rows of the block of b. */
static void pack_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const product *p = context;
    const size_t k = depth_of(p, p->part);
    pack_b(p->shared, from(p->b, depth_start(p, p->part), p->column), k,
           part_start(k, p->pack_tasks, task), part_start(k, p->pack_tasks, task + 1), p->cut);
}

/* Task: some panels of rows against the block of b. */
static void rows_task(void *context, size_t task, void *scratch) {
    const product *p = context;
    real *packed = scratch;
    const int by_rows = p->a.column == 1;
    const size_t panels = parts_of(p->m, MR), k = depth_of(p, p->part);
    const size_t first = part_start(panels, p->row_tasks, task);
    const size_t last = part_start(panels, p->row_tasks, task + 1);
    for (size_t panel = first; panel < last; panel++) {
        const size_t row = part_start(p->m, panels, panel);
        const size_t rows = part_start(p->m, panels, panel + 1) - row;
        real *c = p->c + row * p->n + p->column;
        const real *bias = p->with.bias ? p->with.bias + p->column : NULL;
        pack_a(packed, from(p->a, row, depth_start(p, p->part)), rows, k);
        panel_times_block(c, p->n, p->part ? c : bias, p->part ? p->n : 0, packed, by_rows, rows,
                          p->shared, p->cut, k);
    }
    if (p->with.done.run && p->part + 1 == p->parts && p->column + p->cut.columns == p->n)
        p->with.done.run(p->with.done.context, part_start(p->m, panels, first),
                         part_start(p->m, panels, last));
}

static void with_side_task(void *context, size_t task, void *scratch) {
    const product *p = context;
    if (task == 0)
        p->with.side.run(p->with.side.context, 0, scratch);
    else
        p->task(context, task - 1, scratch);
}

/* Runs the product's tasks, and the side task if it has not yet run. */
static void run_tasks(product *p, fc_task task, size_t count) {
    p->task = task;
    if (p->with.side.run)
        fc_run(with_side_task, p, count + 1, p->scratch);
    else
        fc_run(task, p, count, p->scratch);
    p->with.side.run = NULL;
}

static void product_by_rows(product *p) {
    for (p->column = 0; p->column < p->n; p->column += NC) {
        p->cut = cut_columns(smaller(p->n - p->column, NC));
        for (p->part = 0; p->part < p->parts; p->part++) {
            const size_t k = depth_of(p, p->part), work = p->m * p->cut.columns * k;
            p->pack_tasks = smaller(k, parts_of(k * p->cut.columns, PACK_WORK));
            fc_run(pack_task, p, p->pack_tasks, p->scratch);
            p->row_tasks = smaller(parts_of(p->m, MR), parts_of(work, TASK_WORK));
            run_tasks(p, rows_task, p->row_tasks);
        }
    }
}

/* Task: the sum of one part of the depth. */
static void depth_task(void *context, size_t part, void *scratch) {
    const product *p = context;
    real *packed_b = scratch, *packed_a = packed_b + KC * (SMALL_N + NV * LANES);
    real *sum = p->shared + part * p->m * p->n;
    const columns_cut cut = cut_columns(p->n);
    const size_t panels = parts_of(p->m, MR), end = depth_start(p, part + 1);
    for (size_t start = depth_start(p, part), k; start < end; start += k) {
        k = smaller(end - start, KC);
        const real *addend = start > depth_start(p, part) ? sum : NULL;
        pack_b(packed_b, from(p->b, start, 0), k, 0, k, cut);
        for (size_t panel = 0; panel < panels; panel++) {
            const size_t row = part_start(p->m, panels, panel);
            const size_t rows = part_start(p->m, panels, panel + 1) - row;
            pack_a(packed_a, from(p->a, row, start), rows, k);
            panel_times_block(sum + row * p->n, p->n, addend ? addend + row * p->n : NULL,
                              addend ? p->n : 0, packed_a, p->a.column == 1, rows, packed_b, cut,
                              k);
        }
    }
}

/* Task: add up the parts' sums for some rows. */
static void add_parts_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const product *p = context;
    const size_t start = part_start(p->m, p->row_tasks, task);
    const size_t end = part_start(p->m, p->row_tasks, task + 1);
    for (size_t i = start; i < end; i++)
        EACH_VECTOR(j, p->n, {
            vec sum = p->with.bias ? vec_load(p->with.bias + j, lanes) : (vec){0};
            for (size_t part = 0; part < p->parts; part++)
                sum += vec_load(p->shared + (part * p->m + i) * p->n + j, lanes);
            vec_store(p->c + i * p->n + j, sum, lanes);
        });
    if (p->with.done.run) p->with.done.run(p->with.done.context, start, end);
}

static void gemm(real *c, matrix a, matrix b, extras with, size_t m, size_t n, size_t k,
                 void *workspace) {
    product p = {.c = c, .a = a, .b = b, .m = m, .n = n, .k = k, .with = with};
    p.shared = workspace;
    p.scratch = (char *)workspace + FC_SHARED_BYTES;
    p.parts = parts_of(k, KC);
    if (k == 0) { /* an empty sum */
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) c[i * n + j] = with.bias ? with.bias[j] : 0;
        if (with.done.run) with.done.run(with.done.context, 0, m);
    } else if (m > SMALL_M || n > SMALL_N || p.parts < 3) {
        product_by_rows(&p);
    } else {
        p.parts = smaller(p.parts, MOST_PARTS);
        p.row_tasks = smaller(m, parts_of(m * n * p.parts, TASK_WORK / 8));
        run_tasks(&p, depth_task, p.parts);
        fc_run(add_parts_task, &p, p.row_tasks, p.scratch);
    }
}

/* c = a b, for benchmarks.  a and b are dense; by columns means that the transpose is. */
static void gemm_plain(real *c, const real *a, int a_by_columns, const real *b, int b_by_columns,
                       size_t m, size_t n, size_t k, void *workspace) {
    const matrix left = a_by_columns ? (matrix){a, 1, m} : (matrix){a, k, 1};
    const matrix right = b_by_columns ? (matrix){b, 1, k} : (matrix){b, n, 1};
    gemm(c, left, right, (extras){0}, m, n, k, workspace);
}
