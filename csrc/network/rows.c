/* The passes of a small network in which examples do not meet, since nothing is normalised over the
 * batch: a task takes some of them from their gathering through all layers and the loss to the
 * gradient of the first layer's product, all of which a core's cache holds.  Then all weights'
 * gradients and their updates are one job.  Two jobs a step instead of three a layer, and no
 * activations that pass from core to core: a step of 64-100-10 on 200 examples takes two threads of
 * a Zen 4 64 us instead of 84.
 *
 * Each number is summed as train.c has it, to the bit.
 *
 * Measured without gain: prefetching the next step's rows of x, a share by each task of the weights
 * (of 13 MB a step of 79 us takes 1 us less, of what L2 holds 1 us more). */
#ifndef FASTFC_NETWORK_ROWS_C
#define FASTFC_NETWORK_ROWS_C

#include "fastfc.h"
#include "gemm/gemm.c"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "network/hidden.c"
#include "network/pieces.c"
#include "ops/gather.c"
#include "ops/loss.c"
#include "ops/loss_rows.c"
#include "ops/norm.c"
#include "ops/reduce.c"
#include "ops/update_rules.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Networks of at most so many layers and weights go by rows: every thread reads all the weights. */
enum { ROWS_LAYERS = 8, ROWS_WEIGHTS = 1 << 15 };

/* A task has at least about so many multiply-adds. */
enum { ROWS_WORK = 1 << 18 };

_Static_assert((size_t)4 * ROWS_WEIGHTS <= SHARED_REALS, "packed weights fit the workspace");

typedef struct {
    const fc_network *net;
    const void *x;
    b_block forward[ROWS_LAYERS], backward[ROWS_LAYERS]; /* of w and its transpose */
    gather_job gather;
    loss_job loss;
    loss_of_rows loss_of_rows;
    double *squares; /* (count,) set: of each layer's weights, if they are regularised */
    size_t ranges;
} rows_job;

/* Weights of a layer with the columns that packing may add, to either side. */
static size_t padded_weights(const fc_layer *l) {
    return l->D * (l->M + NV * LANES) + l->M * (l->D + NV * LANES);
}

/* Whether a network goes by rows. */
static int goes_by_rows(const fc_network *net) {
    size_t weights = 0, padded = 0;
    if (net->count > ROWS_LAYERS || net->state || net->layers[0].gamma.w) return 0;
    for (size_t i = 0; i < net->count; i++) {
        const fc_layer *l = net->layers + i;
        if (l->D > KC || l->M > KC) return 0;
        weights += l->D * l->M, padded += padded_weights(l);
    }
    return weights <= ROWS_WEIGHTS && padded <= SHARED_REALS;
}

/* The gradient of a layer's product: where x_normalized would be if it were normalised. */
static real *gradient_of(const fc_network *net, const fc_layer *l) {
    return l + 1 < net->layers + net->count ? l->x_normalized : net->dout[0];
}

static matrix gradient_matrix(const fc_network *net, const fc_layer *l) {
    return (matrix){gradient_of(net, l), l->stride, 1, l + 1 < net->layers + net->count};
}

/* Rows of c = bias + a b, of which m are asked for. */
static void multiply_some(real *c, size_t ldc, matrix a, const real *bias, const b_block *b,
                          size_t m, void *scratch) {
    const gemm_job p = {.a = a, .m = m};
    macro_kernel(&p, 0, ceil_div(m, MR), 0, c, ldc, bias, 0, b, scratch, (rows_of_a){a, 0});
}

static void finish_rows(const fc_network *net, const fc_layer *l, size_t first, size_t end) {
    if (l->activation != FC_RELU) {
        activate_and_drop(net, l, first, end - first, 0, l->M);
        return;
    }
    const vec scale = vec_set(mask_scale(net, l));
    for (size_t i = first; i < end; i++) {
        const real *out = (const real *)l->out + i * l->stride;
        EACH_VECTOR(j, l->M,
                    { rectify_and_drop(net, l, i, j, vec_load(out + j, lanes), scale, lanes); });
    }
}

/* Task: a range of examples, forward and backward but for the weights; behind the ranges, the sum
 * of a layer's squared weights. */
static void rows_task(void *context, size_t range, void *scratch) {
    const rows_job *c = context;
    const fc_network *net = c->net;
    if (range >= c->ranges) {
        const fc_param *w = &net->layers[range - c->ranges].w;
        c->squares[range - c->ranges] = sum_of_squares(w->w, w->n);
        return;
    }
    const fc_layer *layers = net->layers, *last = layers + net->count - 1;
    const size_t blocks = ceil_div(net->N, LOSS_BLOCK);
    const size_t first = share_start(blocks, c->ranges, range) * LOSS_BLOCK;
    const size_t end = min_size(net->N, share_start(blocks, c->ranges, range + 1) * LOSS_BLOCK);
    if (net->rows) gather_part(&c->gather, first, end, 0, layers->D);
    for (const fc_layer *l = layers; l <= last; l++) {
        multiply_some((real *)l->out + first * l->stride, l->stride,
                      submatrix(input_of(net, l, c->x), first, 0), l->b.w, &c->forward[l - layers],
                      end - first, scratch);
        if (l < last) finish_rows(net, l, first, end);
    }
    loss_of_blocks(c->loss_of_rows, &c->loss, first, end);
    for (const fc_layer *l = last; l > layers; l--) {
        const fc_layer *below = l - 1;
        real *dx = gradient_of(net, below);
        const vec scale = vec_set(mask_scale(net, below));
        multiply_some(dx + first * below->stride, below->stride,
                      submatrix(gradient_matrix(net, l), first, 0), NULL, &c->backward[l - layers],
                      end - first, scratch);
        for (size_t i = first; i < end; i++)
            if (below->activation == FC_RELU)
                backward_row(net, below, dx + i * below->stride, i, scale, 1);
            else
                backward_row(net, below, dx + i * below->stride, i, scale, 0);
    }
}

/* The loss over the data; leaves the gradient of each layer's product, and where there is
 * regularisation sets squares (count,): the sum over each layer's weights. */
static double rows_loss(const fc_network *net, const void *x, double *squares) {
    const fc_layer *last = net->layers + net->count - 1;
    rows_job job = {.net = net, .x = x, .squares = squares};
    job.loss_of_rows = rows_of_loss(&net->loss);
    job.gather = (gather_job){
        net->input, net->rows, net->N, net->layers->D, fc_row_stride(net->layers->D, sizeof(real)),
        0};
    job.loss = make_loss_job(net->dout[0], last->out, &net->loss, net->N, last->M);
    job.loss.sums = net->dout[1];
    real *packed = net->workspace;
    size_t weights = 0;
    for (size_t i = 0; i < net->count; i++) {
        const fc_layer *l = net->layers + i;
        job.forward[i] = prepare_b_block((matrix){l->w.w, l->M, 1, 0}, l->M, l->D, net->N, packed);
        packed += l->D * (l->M + NV * LANES);
        if (i > 0)
            job.backward[i] =
                prepare_b_block((matrix){l->w.w, 1, l->M, 0}, l->D, l->M, net->N, packed);
        packed += l->M * (l->D + NV * LANES);
        weights += l->D * l->M;
    }
    job.ranges = ceil_div(net->N * weights, ROWS_WORK);
    job.ranges = min_size(job.ranges, ceil_div(net->N, LOSS_BLOCK));
    fc_run(rows_task, &job, job.ranges + (net->reg != 0 ? net->count : 0),
           (char *)net->workspace + FC_SHARED_BYTES);
    return mean_loss(known_loss, &job.loss);
}

typedef struct {
    const fc_network *net;
    size_t sums; /* tasks that add up the biases' gradients, one a layer, come first */
    gemm_job product[ROWS_LAYERS];
} weights_job;

/* The gradient of a layer's bias, and its update. */
static void bias_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const fc_network *net = ((const weights_job *)context)->net;
    const fc_layer *l = net->layers + task;
    sum_rows(l->b.dw, gradient_of(net, l), net->N, l->M, l->stride);
    if (updates_at_once(net)) update_some(&l->b, net->rule, 0, l->b.n);
}

static void weights_task(void *context, size_t task, void *scratch) {
    weights_job *c = context;
    if (task < c->net->count) {
        bias_task(context, task, scratch);
        return;
    }
    gemm_job *p = c->product;
    for (task -= c->net->count; task >= p->row_tasks; p++) task -= p->row_tasks;
    multiply_rows_task(p, task, scratch);
}

/* The gradients of all parameters, and their updates. */
static void rows_updates(const fc_network *net, const void *x) {
    void *scratch = (char *)net->workspace + FC_SHARED_BYTES;
    weights_job job = {.net = net};
    update_rows_job rows[ROWS_LAYERS];
    size_t tasks = 0, apart = 0;
    for (size_t i = 0; i < net->count; i++) {
        const fc_layer *l = net->layers + i;
        gemm_options options = {.looks_for_zeros = i == 0};
        rows[i] = (update_rows_job){net, l};
        if (updates_at_once(net) || net->reg != 0)
            options.epilogue = (gemm_epilogue){update_rows, &rows[i], updates_at_once(net)};
        matrix input = input_of(net, l, x);
        input = (matrix){input.at, 1, input.row_stride, 0}; /* transposed */
        job.product[i] = make_gemm_job(l->w.dw, l->M, input, gradient_matrix(net, l), options, l->D,
                                       l->M, net->N, net->workspace);
        apart += !make_row_tasks(&job.product[i]);
        tasks += job.product[i].row_tasks;
    }
    if (!apart) {
        fc_run(weights_task, &job, net->count + tasks, scratch);
        return;
    }
    fc_run(bias_task, &job, net->count, scratch);
    for (size_t i = 0; i < net->count; i++) run_gemm(&job.product[i]);
}

#endif
