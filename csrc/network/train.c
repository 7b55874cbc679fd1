/* A whole training step's forward and backward pass and updates, from the same pieces as the single
 * operations and bit for bit what composing them gives:
 *
 *   {affine - [normalisation] - activation - [dropout]} x (L - 1) - affine - loss
 *
 * MT19937's stream is serial, so one task draws all dropout masks beside the first product's tasks;
 * masks of the counter-based generator are filled before it, by all threads.  If the first product
 * is split-K, each task gathers the columns of the minibatch that it multiplies.  An epilogue
 * updates rows of a weight matrix as soon as their gradient is complete, while it is in cache; the
 * gradient is then not stored.
 *
 * Small networks without normalisation go by ranges of examples instead: see rows.c.
 *
 * Regularisation adds 0.5 reg sum(w^2) to the loss, layer by layer, and reg w to dw: every product
 * and every sum is rounded, as NumPy does. */
#ifndef FASTFC_NETWORK_TRAIN_C
#define FASTFC_NETWORK_TRAIN_C

#include "fastfc.h"
#include "gemm/gemm.c"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "gemm/split_k.c"
#include "network/hidden.c"
#include "network/pieces.c"
#include "network/rows.c"
#include "ops/gather.c"
#include "ops/loss.c"
#include "ops/mt19937.c"
#include "ops/philox.c"
#include "ops/reduce.c"
#include "ops/update_rules.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>
#include <stdint.h>

/* How many draws a task makes. */
enum { PHILOX_WORK = 8 * PHILOX_BLOCK };

static void draw_masks(void *context, size_t task, void *scratch) {
    (void)task, (void)scratch;
    const fc_network *net = context;
    for (size_t i = 0; i + 1 < net->count; i++)
        mt19937_keep(net->layers[i].keep, net->state, net->p, net->drop, net->N * net->layers[i].M);
}

/* Task: a part of a layer's mask, by its key. */
static void philox_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const fc_network *net = context;
    const fc_layer *l = net->layers;
    for (; task >= ceil_div(net->N * l->M, PHILOX_WORK); l++)
        task -= ceil_div(net->N * l->M, PHILOX_WORK);
    const size_t first = task * PHILOX_WORK, n = min_size(net->N * l->M - first, PHILOX_WORK);
    const uint64_t before = net->share ? (uint64_t)net->share->first * l->M : 0;
    philox_keep(l->keep + first, l->key, before + first, net->p, net->drop, n);
}

static void philox_masks(const fc_network *net) {
    size_t tasks = 0;
    for (size_t i = 0; i + 1 < net->count; i++)
        tasks += ceil_div(net->N * net->layers[i].M, PHILOX_WORK);
    fc_run(philox_task, (void *)net, tasks, NULL);
}

/* Side task: updates all parameters that are vectors. */
static void update_vectors(void *context, size_t task, void *scratch) {
    (void)task, (void)scratch;
    const fc_network *net = context;
    for (size_t i = 0; i < net->count; i++)
        for (int j = 1; j < 4; j++) {
            const fc_param *p = &net->layers[i].params[j];
            if (p->w) update_some(p, net->rule, 0, p->n);
        }
}

static void gather_columns(const void *context, size_t first, size_t last) {
    const gather_job *g = context;
    gather_part(g, 0, g->N, first, last);
}

/* The forward pass up to the scores: the last layer's out. */
static void forward(const fc_network *net, const void *x) {
    const fc_layer *layers = net->layers, *last = layers + net->count - 1;
    gather_job rows = {net->input, net->rows, net->N, layers->D, 0, 0};
    rows.stride = fc_row_stride(layers->D, sizeof(real));
    for (const fc_layer *l = layers; l <= last; l++) {
        gemm_options options = {.bias = l->b.w, .looks_for_zeros = l == layers};
        if (l == layers && net->state) options.side = (side_task){draw_masks, (void *)net};
        gemm_job p =
            make_gemm_job(l->out, l->stride, input_of(net, l, x), (matrix){l->w.w, l->M, 1, 0},
                          options, net->N, l->M, l->D, net->workspace);
        if (l == layers && net->rows && is_split_k(&p))
            p.options.fill_a = gather_columns, p.options.fill_context = &rows;
        else if (l == layers && net->rows)
            run_gather(&rows);
        const int by_columns = l < last && !(l->gamma.w && l->layernorm);
        const int fused =
            by_columns && (is_split_k(&p) || (can_make_columns(&p) && !options.side.run));
        if (!fused)
            run_gemm(&p);
        else if (is_split_k(&p))
            split_k_multiply(&p);
        if (l < last) hidden_forward(net, l, fused ? &p : NULL);
    }
}

/* The backward pass and the updates; dout: gradient of the scores. */
static void backward(const fc_network *net, const void *x, real *dout, real *dx) {
    const fc_layer *layers = net->layers, *last = layers + net->count - 1;
    const size_t N = net->N;
    const int updates = updates_at_once(net);
    sum_rows(last->b.dw, dout, N, last->M, last->M);
    for (const fc_layer *l = last;; l--) {
        const matrix gradient = {dout, l->stride, 1, l < last};
        gemm_job p = {0};
        int fused = 0;
        if (l > layers) {
            p = make_gemm_job(dx, l[-1].stride, gradient, (matrix){l->w.w, 1, l->M, 0},
                              (gemm_options){0}, N, l->D, l->M, net->workspace);
            fused = can_make_columns(&p) && !(l[-1].gamma.w && l[-1].layernorm);
            if (!fused) run_gemm(&p);
            /* before the next product, which updates the w that this one reads */
            hidden_backward(net, l - 1, dx, fused ? &p : NULL);
        }
        gemm_options options = {.looks_for_zeros = l == layers};
        const update_rows_job rows = {net, l};
        if (updates || net->reg != 0)
            options.epilogue = (gemm_epilogue){update_rows, &rows, updates};
        if (updates && l == layers) options.side = (side_task){update_vectors, (void *)net};
        matrix input = input_of(net, l, x);
        input = (matrix){input.at, 1, input.row_stride, 0}; /* transposed */
        gemm(l->w.dw, l->M, input, gradient, options, l->D, l->M, N, net->workspace);
        if (l == layers) break;
        real *swap = dout;
        dout = dx, dx = swap;
    }
}

/* The loss of x (N, D), and the gradient of the scores in net->dout[0]. */
static double network_loss(const fc_network *net, const void *x) {
    const fc_layer *last = net->layers + net->count - 1;
    if (net->philox) philox_masks(net);
    double loss, squares[ROWS_LAYERS];
    const int by_rows = goes_by_rows(net);
    if (by_rows) {
        loss = rows_loss(net, x, squares);
    } else {
        forward(net, x);
        loss = data_loss(net->dout[0], last->out, &net->loss, net->N, last->M);
    }
    if (net->share) net->share->exchange(net->share->context, FC_LOSS, last, &loss);
    return total_loss(net, loss, by_rows ? squares : NULL);
}

/* The rest of the step: the dw of every parameter, and its update. */
static void network_update(const fc_network *net, const void *x) {
    const fc_param *known = NULL;
    for (size_t i = 0; i < 4 * net->count; i++) {
        fc_param *p = &net->layers[i / 4].params[i % 4];
        if (!p->w) continue;
        set_powers(p, known, net->rule);
        known = p;
    }
    if (goes_by_rows(net))
        rows_updates(net, x);
    else
        backward(net, x, net->dout[0], net->dout[1]);
    if (net->rule != FC_NO_UPDATE && !updates_at_once(net))
        update(net->params, net->rule, net->clip_norm, net->params_count);
}

#endif
