/* What the passes of a training step share: a layer's input, the loss, and the updates that follow
 * a weight matrix's gradient. */
#ifndef FASTFC_NETWORK_PIECES_C
#define FASTFC_NETWORK_PIECES_C

#include "fastfc.h"
#include "gemm/pack.c"
#include "ops/norm.c"
#include "ops/update_rules.c"
#include "simd/vec.h"

#include <stddef.h>

/* The input of layer l: the previous layer's output; for the first, the gathered rows, or x. */
static matrix input_of(const fc_network *net, const fc_layer *l, const void *x) {
    if (l > net->layers) return (matrix){l[-1].out, l[-1].stride, 1, 1};
    if (net->rows) return (matrix){net->input, fc_row_stride(l->D, sizeof(real)), 1, 1};
    return (matrix){x, l->D, 1, 0};
}

/* The loss over the data plus the regularisation's.  squares: of each layer's weights their sum,
 * where somebody has computed it; or NULL. */
static real total_loss(const fc_network *net, double data_loss, const double *squares) {
    const real half = (real)0.5 * (real)net->reg;
    real loss = (real)data_loss;
    for (size_t i = 0; net->reg != 0 && i < net->count; i++) {
        const fc_layer *l = net->layers + i;
        loss += half * (real)(squares ? squares[i] : sum_of_squares(l->w.w, l->w.n));
    }
    return loss;
}

/* Whether a parameter is updated as soon as its gradient is there: clipping waits for all. */
static int updates_at_once(const fc_network *net) {
    return net->rule != FC_NO_UPDATE && !(net->clip_norm > 0);
}

typedef struct {
    const fc_network *net;
    const fc_layer *layer;
} update_rows_job;

/* Epilogue: adds the regularisation to complete rows of dw, and updates the same rows of w. */
static void update_rows(const void *context, real *dw, size_t first, size_t last) {
    const update_rows_job *c = context;
    const fc_layer *l = c->layer;
    if (c->net->reg != 0) {
        const real *w = (const real *)l->w.w + first * l->M;
        const vec reg = vec_set((real)c->net->reg);
        EACH_VECTOR(i, (last - first) * l->M, {
            vec_store(dw + i, vec_load(dw + i, lanes) + reg * vec_load(w + i, lanes), lanes);
        });
    }
    if (updates_at_once(c->net)) update_by(&l->w, c->net->rule, dw, first * l->M, last * l->M);
}

#endif
