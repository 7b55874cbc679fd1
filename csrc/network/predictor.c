/* The scores of a network as it was at one time, as network_scores computes them, of weights that
 * are packed once:
 *
 *   {affine - [normalisation] - activation} x (L - 1) - affine
 *
 * Packed weights lie in the order in which the products read them: first by parts of the depth, as
 * the products of gemm.c cut it, then by panels of NV vectors of columns, the last of which may be
 * one vector wide, then row by row.  What stands behind the last column is zero.
 *
 * Several rows are cut into tasks, each of which takes its rows through all layers: one fork and
 * one join, and a row of a layer's output is still in cache when the next layer reads it.
 *
 * One row alone is too few sums for the micro-kernel: a tile of one row and two vectors waits for
 * the latency of its additions.  So row_of_panels has MOST_VECTORS sums in registers, of several
 * panels at once, each a sequence of addresses for the prefetcher.  It has no tasks: what takes
 * long about one row is to read the weights.  Where its elements are mostly zeros, only the rows of
 * weights are read that the others meet.
 *
 * Every sum has the order of gemm.c, and no split-K: a row's scores are the same bits in any batch.
 * They are those of network_scores but where a layer of at most SMALL_N outputs has more than
 * MOST_PARTS parts of depth and split-K adds in another order. */
#ifndef FASTFC_NETWORK_PREDICTOR_C
#define FASTFC_NETWORK_PREDICTOR_C

#include "fastfc.h"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "gemm/zeros.c"
#include "network/inference.c"
#include "ops/relu.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <string.h>

/* Sums in registers; the rest of 16 registers is for an element of x and a product. */
enum { MOST_VECTORS = 12 };

_Static_assert(NV == 2, "only a last panel may be one vector wide");
_Static_assert((size_t)MR * A_ROW_STRIDE * sizeof(real) <= FC_PREDICT_SCRATCH, "a panel of x fits");

/* M columns, all of whose vectors are whole. */
static columns_cut whole_vectors(size_t M) {
    const size_t vectors = ceil_div(M, LANES);
    return (columns_cut){M, vectors, ceil_div(vectors, NV), 0};
}

/* Packs w (D, M); or unpacks it, which leaves packed as it is.  Returns whether w is finite. */
static int copy_weights(real *packed, real *w, size_t D, size_t M, int unpack) {
    const size_t parts = ceil_div(D, KC);
    const columns_cut cut = whole_vectors(M);
    for (size_t part = 0; part < parts; part++) {
        const size_t start = share_start(D, parts, part);
        const size_t k = share_start(D, parts, part + 1) - start;
        for (size_t p = 0; p < k; p++)
            for (size_t panel = 0; panel < cut.panels; panel++) {
                const size_t column = panel_start(cut, panel);
                const size_t width = panel_start(cut, panel + 1) - column;
                const size_t columns = min_size(width, M - column);
                real *row = w + (start + p) * M + column;
                real *to = packed + start * cut.whole * LANES + column * k + p * width;
                memcpy(unpack ? row : to, unpack ? to : row, columns * sizeof(real));
                if (!unpack) memset(to + columns, 0, (width - columns) * sizeof(real));
            }
    }
    return is_finite_block((matrix){w, M, 1, 0}, D, M);
}

/* out = addend + x b, rectified if so, for one row x of k elements and so many vectors of columns,
 * of whose last one `lanes` elements exist.  b stands at the first of their panels. */
ALWAYS_INLINE void row_of_panels(real *out, const real *addend, const real *x, const real *b,
                                 size_t k, size_t lanes, int rectified, const int vectors) {
    enum { MOST_PANELS = MOST_VECTORS / NV };
    const real *at[MOST_PANELS];
    vec sum[MOST_VECTORS];
    UNROLL_ALL
    for (int i = 0; i < vectors; i++) {
        sum[i] = (vec){0};
        if (i % NV == 0) at[i / NV] = b + (size_t)i * LANES * k;
    }
#pragma GCC unroll 4
    for (size_t p = 0; p < k; p++) {
        const vec element = vec_set(x[p]);
        UNROLL_ALL
        for (int i = 0; i < vectors; i++) {
            sum[i] = vec_fma(element, vec_load(at[i / NV], LANES), sum[i]);
            at[i / NV] += LANES;
        }
    }
    UNROLL_ALL
    for (int i = 0; i < vectors; i++) {
        const size_t at_i = (size_t)i * LANES, there = i + 1 < vectors ? LANES : lanes;
        const vec total = sum[i] + vec_load(addend + at_i, there);
        vec_store(out + at_i, rectified ? rectify(total) : total, there);
    }
}

/* The same for any number of vectors up to MOST_VECTORS. */
static void row_of_vectors(real *out, const real *addend, const real *x, const real *b, size_t k,
                           size_t lanes, int rectified, size_t vectors) {
#define VECTORS(n)                                                                                 \
    case n:                                                                                        \
        row_of_panels(out, addend, x, b, k, lanes, rectified, n);                                  \
        break
    switch (vectors) {
        VECTORS(1);
        VECTORS(2);
        VECTORS(3);
        VECTORS(4);
        VECTORS(5);
        VECTORS(6);
        VECTORS(7);
        VECTORS(8);
        VECTORS(9);
        VECTORS(10);
        VECTORS(11);
        VECTORS(12);
    default:
        break;
    }
#undef VECTORS
}

/* Whether ReLU follows a layer's product at once. */
static int is_rectified(const fc_layer *l) { return !l->gamma.w && l->activation == FC_RELU; }

/* out = b + x w for one row, rectified if so.  out has whole vectors, but in the last layer, which
 * is not rectified. */
static void predict_layer_of_row(real *out, const fc_layer *l, const real *x, int is_last) {
    const size_t parts = ceil_div(l->D, KC), vectors = ceil_div(l->M, LANES);
    const size_t panels = ceil_div(vectors, NV), groups = ceil_div(panels, MOST_VECTORS / NV);
    const size_t rest = vectors * LANES - l->M, in_last = is_last ? LANES - rest : LANES;
    const real *w = l->w.w;
    for (size_t part = 0, start = 0, k; part < parts; part++, start += k) {
        k = share_start(l->D, parts, part + 1) - start;
        const int rectified = !is_last && is_rectified(l) && part + 1 == parts;
        const real *addend = part ? out : l->b.w;
        for (size_t group = 0, first = 0, end; group < groups; group++, first = end) {
            end = min_size(share_start(panels, groups, group + 1) * NV, vectors);
            row_of_vectors(out + first * LANES, addend + first * LANES, x + start,
                           w + start * vectors * LANES + first * LANES * k, k,
                           end == vectors ? in_last : LANES, rectified, end - first);
        }
    }
}

/* Whether x (rows, D), rows x_stride apart, is mostly zeros that may be left out. */
static int leaves_zeros(const fc_layer *l, const real *x, size_t x_stride, size_t rows) {
    return l->w_is_finite && is_mostly_zeros((matrix){x, x_stride, 1, 0}, rows, l->M, l->D);
}

/* out = b + x w for several rows, `stride` elements apart, as those of x; for one where zeros are
 * left out. */
static void predict_layer(real *out, size_t stride, const fc_layer *l, const real *x,
                          size_t x_stride, size_t rows, int without_zeros, real *scratch) {
    const gemm_job p = {.a = {x, x_stride, 1, 0}, .m = rows};
    const size_t parts = ceil_div(l->D, KC), width = ceil_div(l->M, LANES) * LANES;
    const size_t chunk = panels_in_cache();
    const columns_cut cut = whole_vectors(l->M);
    for (size_t part = 0; part < parts; part++) {
        const size_t start = share_start(l->D, parts, part);
        const size_t k = share_start(l->D, parts, part + 1) - start;
        const real *addend = part ? out : (const real *)l->b.w;
        b_block b = {(const real *)l->w.w + start * width, 0, cut, k, 0, 0, chunk, without_zeros};
        for (; b.panel < panel_count(cut); b.panel = b.end_panel) {
            b.end_panel = min_size(panel_count(cut), b.panel + chunk);
            macro_kernel(&p, 0, ceil_div(rows, MR), start, out, stride, addend, part ? stride : 0,
                         &b, scratch, (rows_of_a){p.a, 0});
        }
    }
}

/* scores: (C,).  x: (D,).  memory: as that of predict. */
static void predict_row(real *scores, const fc_predictor *net, const real *x, real *memory) {
    const size_t last = net->count - 1;
    for (size_t i = 0; i < last; i++) {
        const fc_layer *l = net->layers + i;
        real *out = memory + i % 2 * net->widest;
        const int without_zeros = leaves_zeros(l, x, l->D, 1);
        if (without_zeros)
            predict_layer(out, l->stride, l, x, l->D, 1, 1, NULL);
        else
            predict_layer_of_row(out, l, x, 0);
        if (without_zeros || !is_rectified(l)) activate_rows(l, out, 0, 1);
        x = out;
    }
    predict_layer_of_row(scores, net->layers + last, x, 1);
}

typedef struct {
    real *scores;
    const fc_predictor *net;
    const real *x;
    real *out[2]; /* (N, widest) each, which the layers use in turn */
    size_t N, tasks;
} predict_job;

/* Task: a range of rows, through all layers. */
static void predict_task(void *context, size_t task, void *scratch) {
    const predict_job *c = context;
    const fc_layer *layers = c->net->layers, *last = layers + c->net->count - 1;
    const size_t first = share_start(c->N, c->tasks, task);
    const size_t rows = share_start(c->N, c->tasks, task + 1) - first;
    const real *x = c->x + first * layers->D;
    size_t x_stride = layers->D;
    for (const fc_layer *l = layers; l < last; l++) {
        real *out = c->out[(l - layers) % 2] + first * c->net->widest;
        predict_layer(out, l->stride, l, x, x_stride, rows, leaves_zeros(l, x, x_stride, rows),
                      scratch);
        activate_rows(l, out, 0, rows);
        x = out, x_stride = l->stride;
    }
    predict_layer(c->scores + first * last->M, last->M, last, x, x_stride, rows, 0, scratch);
}

/* How many tasks: of TASK_WORK each, but of enough rows to read the weights for: some panels, if
 * many tasks remain, else two. */
static size_t predict_tasks(size_t N, size_t work) {
    enum { MANY_ROWS = 8 * MR, FEW_ROWS = 2 * MR };
    const size_t few = min_size(MANY_TASKS, ceil_div(N, FEW_ROWS)), many = ceil_div(N, MANY_ROWS);
    return min_size(ceil_div(N * work, TASK_WORK), few > many ? few : many);
}

/* scores: (N, C).  x: (N, D).  memory: fc_predict_bytes, aligned to 64. */
static void predict(real *scores, const fc_predictor *net, const real *x, size_t N, void *memory) {
    const size_t D = net->layers->D, C = net->layers[net->count - 1].M;
    const size_t blocks = ceil_div(N, FC_SCORES_ROWS);
    if (N == 1) {
        predict_row(scores, net, x, memory);
        return;
    }
    for (size_t block = 0; block < blocks && !fc_look(); block++) {
        const size_t first = share_start(N, blocks, block);
        const size_t rows = share_start(N, blocks, block + 1) - first;
        real *out = (real *)((char *)memory + FC_PREDICT_SCRATCH);
        predict_job c = {scores + first * C,
                         net,
                         x + first * D,
                         {out, out + rows * net->widest},
                         rows,
                         predict_tasks(rows, net->work)};
        fc_run(predict_task, &c, c.tasks, memory);
    }
}

#endif
