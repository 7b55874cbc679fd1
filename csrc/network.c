/* A whole training step's forward and backward pass and updates, from the same pieces as the single
 * operations and bit for bit what composing them gives:
 *
 *   {affine - [batch norm] - relu - [dropout]} x (L - 1) - affine - softmax
 *
 * What follows a product is per feature, so it runs in one task for each slice of columns, over
 * rows that the slice's own cache holds: statistics, normalisation, ReLU and mask in a pass, and
 * backward likewise.  ReLU and mask are remembered as one factor, `gate` = mask * (x >= 0). The
 * masks are drawn by one task beside the first product: the stream is serial, the products are not.
 * Rows of a weight matrix are updated as soon as the product has made those of its gradient, which
 * are still in cache. */

typedef struct {
    const fc_network *net;
    const fc_layer *layer;
    real *dout; /* backward: (N, M), gradient of the layer's output, turned into that of its product
                 */
    size_t slices;
} tail_call;

static void forward_tail_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const tail_call *c = context;
    const fc_layer *l = c->layer;
    const size_t N = c->net->N, M = l->M, first = slice_start(M, c->slices, slice);
    const size_t D = slice_start(M, c->slices, slice + 1) - first;
    real *out = l->out, *gate = l->gate, *normalized = l->x_normalized;
    const real *gamma = l->gamma, *beta = l->beta;
    const real *mean = NULL, *rstd = NULL;
    const vec zero = {0}, one = vec_set(1), scale = vec_set(1 / (real)c->net->p);
    if (gamma) {
        real *next_mean = (real *)l->next_mean + first, *next_var = (real *)l->next_var + first;
        real *own_rstd = (real *)l->rstd + first;
        statistics_columns(next_mean, next_var, own_rstd, out + first, l->eps, N, D, M);
        mean = next_mean, rstd = own_rstd, gamma += first, beta += first;
    }
    for (size_t i = 0; i < N; i++) {
        const size_t row = i * M + first;
        EACH_VECTOR(j, D, {
            vec v = vec_load(out + row + j, lanes);
            if (gamma) {
                vec n = normalize(v, vec_load(mean + j, lanes), vec_load(rstd + j, lanes));
                vec_store(normalized + row + j, n, lanes);
                v = scale_and_shift(n, vec_load(gamma + j, lanes), vec_load(beta + j, lanes));
            }
            vec passes = (vec)((v >= zero) & (ivec)one);
            v = (vec)(~(v < zero) & (ivec)v);
            if (l->keep) {
                vec mask = vec_load_bytes(l->keep + row + j, lanes) * scale;
                v *= mask;
                passes *= mask;
            }
            vec_store(gate + row + j, passes, lanes);
            vec_store(out + row + j, v, lanes);
        });
    }
    if (gamma) {
        running_average((real *)l->next_mean + first, (const real *)l->running_mean + first,
                        l->momentum, D);
        running_average((real *)l->next_var + first, (const real *)l->running_var + first,
                        l->momentum, D);
    }
}

static void backward_tail_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const tail_call *c = context;
    const fc_layer *l = c->layer;
    const size_t N = c->net->N, M = l->M, first = slice_start(M, c->slices, slice);
    const size_t D = slice_start(M, c->slices, slice + 1) - first;
    const real *gate = l->gate;
    for (size_t i = 0; i < N; i++) {
        const size_t row = i * M + first;
        EACH_VECTOR(j, D, {
            vec d = vec_load(c->dout + row + j, lanes) * vec_load(gate + row + j, lanes);
            vec_store(c->dout + row + j, d, lanes);
        });
    }
    if (l->gamma)
        batchnorm_backward_columns(
            c->dout + first, (real *)l->dgamma + first, (real *)l->dbeta + first, c->dout + first,
            (const real *)l->x_normalized + first, (const real *)l->rstd + first,
            (const real *)l->gamma + first, N, D, M);
    sum_rows((real *)l->db + first, c->dout + first, N, D, M);
}

static void draw_masks(void *context, size_t task, void *scratch) {
    (void)task, (void)scratch;
    const fc_network *net = context;
    for (size_t i = 0; i + 1 < net->count; i++)
        mt19937_keep(net->layers[i].keep, net->state, net->p, net->N * net->layers[i].M);
}

/* Hook: update the rows of w whose gradient is there. */
static void update_rows(const void *context, size_t first, size_t last) {
    const fc_layer *l = context;
    update_some(l->update[0], first * l->M, last * l->M);
}

/* All the small parameters. */
static void update_vectors(void *context, size_t task, void *scratch) {
    (void)task, (void)scratch;
    const fc_network *net = context;
    for (size_t i = 0; i < net->count; i++)
        for (int j = 1; j < 4; j++) {
            const fc_update *u = net->layers[i].update[j];
            if (u) update_some(u, 0, u->n);
        }
}

/* dw, db and so on of every layer, and the loss, of x (N, D) with labels y.  scores: (N, C).
 * Nothing is updated when the loss is not finite. */
static void network_loss(double *loss, const fc_network *net, const void *x, const int64_t *y) {
    const fc_layer *layers = net->layers, *last = layers + net->count - 1;
    const size_t N = net->N;

    const real *input = x;
    for (const fc_layer *l = layers; l <= last; l++) {
        extras with = {.bias = l->b};
        if (l == layers && net->state) with.side = (side_task){draw_masks, (void *)(uintptr_t)net};
        gemm(l->out, (matrix){input, l->D, 1}, (matrix){l->w, l->M, 1}, with, N, l->M, l->D,
             net->workspace);
        input = l->out;
        if (l == last) break;
        tail_call tail = {net, l, NULL, slices_of(N, l->M)};
        fc_run(forward_tail_task, &tail, tail.slices, NULL);
    }

    real *dout = net->dout[0], *dx = net->dout[1];
    softmax_loss(loss, dout, last->out, y, N, last->M);
    sum_rows(last->db, dout, N, last->M, last->M);
    const int updates = last->update[0] != NULL;
    if (updates && !isfinite(*loss)) return;
    for (const fc_layer *l = last;; l--) {
        if (l > layers)
            gemm(dx, (matrix){dout, l->M, 1}, (matrix){l->w, 1, l->M}, (extras){0}, N, l->D, l->M,
                 net->workspace);
        extras with = {0};
        if (updates) with.done = (rows_hook){update_rows, l};
        if (updates && l == layers) with.side = (side_task){update_vectors, (void *)(uintptr_t)net};
        gemm(l->dw, (matrix){l == layers ? x : l[-1].out, 1, l->D}, (matrix){dout, l->M, 1}, with,
             l->D, l->M, N, net->workspace);
        if (l == layers) break;
        tail_call tail = {net, l - 1, dx, slices_of(N, l->D)};
        fc_run(backward_tail_task, &tail, tail.slices, NULL);
        real *swap = dout;
        dout = dx, dx = swap;
    }
}
