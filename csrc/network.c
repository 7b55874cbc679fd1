/* A whole training step's forward and backward pass and updates, from the same pieces as the single
 * operations and bit for bit what composing them gives:
 *
 *   {affine - [normalisation] - relu - [dropout]} x (L - 1) - affine - softmax
 *
 * What follows a product is per feature, so it runs in one task for each slice of columns, over
 * rows that the slice's own cache holds: statistics, normalisation, ReLU and mask in a pass, and
 * backward likewise.  Layer normalisation is per row: there the tasks are ranges of rows, and
 * backward slices of columns follow, to add up the ranges' sums and the gradient of the bias.  ReLU
 * and mask are remembered as one factor, `gate` = mask * (x >= 0). The masks are drawn by one task
 * beside the first product: the stream is serial, the products are not. Rows of a weight matrix are
 * updated as soon as the product has made those of its gradient, which are still in cache. */

typedef struct {
    const fc_network *net;
    const fc_layer *layer;
    real *dout; /* backward: (N, M), gradient of the layer's output, turned into that of its product
                 */
    size_t slices;
    layernorm_backward_call rows; /* of layer normalisation, in dout itself */
} tail_call;

/* out and gate, at an offset, of a vector v of ReLU inputs.  keep may be NULL; `scale` is what a
 * mask holds where it keeps. */
ALWAYS_INLINE void rectify_and_drop(real *out, real *gate, const uint8_t *keep, size_t at, vec v,
                                    vec scale, size_t lanes) {
    const vec zero = {0}, one = vec_set(1);
    vec passes = (vec)((v >= zero) & (ivec)one);
    v = (vec)(~(v < zero) & (ivec)v);
    if (keep) {
        vec mask = vec_load_bytes(keep + at, lanes) * scale;
        v *= mask;
        passes *= mask;
    }
    vec_store(gate + at, passes, lanes);
    vec_store(out + at, v, lanes);
}

static void forward_tail_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const tail_call *c = context;
    const fc_layer *l = c->layer;
    const size_t N = c->net->N, M = l->M, first = slice_start(M, c->slices, slice);
    const size_t D = slice_start(M, c->slices, slice + 1) - first;
    real *out = l->out, *gate = l->gate, *normalized = l->x_normalized;
    const uint8_t *keep = l->keep;
    const real *gamma = l->gamma, *beta = l->beta;
    const real *mean = NULL, *rstd = NULL;
    const vec scale = vec_set(1 / (real)c->net->p);
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
            rectify_and_drop(out, gate, keep, row + j, v, scale, lanes);
        });
    }
    if (gamma) {
        running_average((real *)l->next_mean + first, (const real *)l->running_mean + first,
                        l->momentum, D);
        running_average((real *)l->next_var + first, (const real *)l->running_var + first,
                        l->momentum, D);
    }
}

/* The same over a range of rows, for layer normalisation. */
static void forward_rows_task(void *context, size_t range, void *scratch) {
    (void)scratch;
    const tail_call *c = context;
    const fc_layer *l = c->layer;
    const size_t N = c->net->N, M = l->M, ranges = ranges_of(N, M);
    const size_t first = part_start(N, ranges, range), end = part_start(N, ranges, range + 1);
    real *out = l->out, *gate = l->gate, *normalized = l->x_normalized;
    const uint8_t *keep = l->keep;
    const real *gamma = l->gamma, *beta = l->beta;
    const vec scale = vec_set(1 / (real)c->net->p);
    EACH_ROW_BLOCK(i, end - first, {
        real mean[ROWS_AT_ONCE], *rstd = (real *)l->rstd + first + i;
        const size_t block = (first + i) * M;
        statistics_rows(mean, rstd, out + block, l->eps, rows, M);
        for (size_t r = 0; r < rows; r++) {
            const size_t row = block + r * M;
            EACH_VECTOR(j, M, {
                vec n =
                    normalize(vec_load(out + row + j, lanes), vec_set(mean[r]), vec_set(rstd[r]));
                vec_store(normalized + row + j, n, lanes);
                vec v = scale_and_shift(n, vec_load(gamma + j, lanes), vec_load(beta + j, lanes));
                rectify_and_drop(out, gate, keep, row + j, v, scale, lanes);
            });
        }
    });
}

static void forward_tail(const fc_network *net, const fc_layer *l) {
    tail_call tail = {net, l, NULL, slices_of(net->N, l->M), {0}};
    if (l->gamma && l->layernorm)
        fc_run(forward_rows_task, &tail, ranges_of(net->N, l->M), NULL);
    else
        fc_run(forward_tail_task, &tail, tail.slices, NULL);
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

static void backward_rows_task(void *context, size_t range, void *scratch) {
    const tail_call *c = context;
    const size_t M = c->layer->M, at = part_start(c->rows.N, c->rows.ranges, range) * M;
    const size_t n = part_start(c->rows.N, c->rows.ranges, range + 1) * M - at;
    dropout_apply(c->dout + at, c->dout + at, (const real *)c->layer->gate + at, n);
    layernorm_backward_task((void *)(uintptr_t)&c->rows, range, scratch);
}

static void backward_sums_task(void *context, size_t slice, void *scratch) {
    (void)scratch;
    const tail_call *c = context;
    const size_t M = c->layer->M, first = slice_start(M, c->slices, slice);
    const size_t D = slice_start(M, c->slices, slice + 1) - first;
    add_partial_sums(&c->rows, first, D);
    sum_rows((real *)c->layer->db + first, c->dout + first, c->net->N, D, M);
}

static void backward_tail(const fc_network *net, const fc_layer *l, real *dout) {
    const size_t N = net->N, M = l->M;
    tail_call tail = {net, l, dout, slices_of(N, M), {0}};
    if (l->gamma && l->layernorm) {
        tail.rows = (layernorm_backward_call){
            dout,     l->dgamma, l->dbeta, net->workspace,          dout, l->x_normalized, l->rstd,
            l->gamma, N,         M,        backward_ranges_of(N, M)};
        fc_run(backward_rows_task, &tail, tail.rows.ranges, NULL);
        fc_run(backward_sums_task, &tail, tail.slices, NULL);
    } else {
        fc_run(backward_tail_task, &tail, tail.slices, NULL);
    }
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
        forward_tail(net, l);
    }

    real *dout = net->dout[0], *dx = net->dout[1];
    softmax_loss(loss, dout, last->out, y, net->label_smoothing, N, last->M);
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
        backward_tail(net, l - 1, dx);
        real *swap = dout;
        dout = dx, dx = swap;
    }
}
