/* What runs on several threads, without Python: the pool, and under every instruction set products,
 * minibatches, the whole network and updates.  test_kernels.c checks the single operations; here
 * several threads must give the bits of one thread, and fused passes those of the single
 * operations. ThreadSanitizer runs these tests too. */
#include "runtime/system.h" /* first: it says which functions of the C library are asked for */
#include "runtime/fp_mode.h"
#include "test.h"

/* Jobs of few tasks and of many, in turn and without a pause: every task of every job must run
 * exactly once, with the context of its job and with scratch memory that no other task writes. */
typedef struct {
    size_t count;
    _Atomic(int) runs[40];
    _Atomic(int) strays;
} pool_job;

static void count_run(void *context, size_t index, void *scratch) {
    pool_job *job = context;
    volatile size_t *mine = scratch;
    *mine = index;
    if (index < job->count)
        job->runs[index]++;
    else
        job->strays++;
    if (*mine != index) job->strays++;
}

static void test_pool(void) {
    static pool_job job;
    size_t scratch[8];
    long once = 0, tasks = 0, strays = 0;
    for (int round = 0; round < 40000; round++) {
        job.count = round % 2 ? 40 : 2 + (size_t)round % 3;
        for (size_t i = 0; i < 40; i++) job.runs[i] = 0;
        fc_set_threads(2 + round / 4 % 4);
        fc_run(count_run, &job, job.count, scratch);
        for (size_t i = 0; i < job.count; i++) once += job.runs[i] == 1;
        tasks += (long)job.count;
        strays += job.strays;
    }
    check("tasks that ran once", 0, (double)once, (double)tasks, 0);
    check("stray tasks", 0, (double)strays, 0, 0);
}

/* More tasks than the pool publishes at once. */
enum { MANY_TASKS_OF_A_JOB = 3 * 0xffff + 5 };
static _Atomic(uint8_t) many_runs[MANY_TASKS_OF_A_JOB];

static void count_many(void *context, size_t index, void *scratch) {
    (void)context, (void)scratch;
    many_runs[index]++;
}

static void test_many_tasks(void) {
    fc_set_threads(3);
    fc_run(count_many, NULL, MANY_TASKS_OF_A_JOB, NULL);
    long once = 0;
    for (size_t i = 0; i < MANY_TASKS_OF_A_JOB; i++) once += many_runs[i] == 1;
    check("tasks of a large job that ran once", 0, (double)once, MANY_TASKS_OF_A_JOB, 0);
}

/* Two tasks that wait for each other, so that two threads must run them.  Both compute in the
 * caller's floating-point mode, whether it flushes denormals or not. */
typedef struct {
    _Atomic(int) begun;
    real tiny, product[2];
} mode_job;

static void multiply(void *context, size_t index, void *scratch) {
    (void)scratch;
    mode_job *job = context;
    volatile real tiny = job->tiny, one = 1;
    for (job->begun++; job->begun < 2;) yield_core();
    job->product[index] = tiny * one;
}

static void test_mode(void) {
    fc_set_threads(2);
    if (FC_FLUSH_BITS == 0 || fc_get_threads() < 2 || under_valgrind()) return;
    for (int round = 0; round < 100; round++) {
        mode_job job = {0, FC_DOUBLE ? (real)1e-310 : (real)1e-40, {NAN, NAN}};
        const int flush = round % 2;
        const uint64_t before = fc_control();
        FC_FLUSHED(flush, fc_run(multiply, &job, 2, NULL));
        check("mode after", (size_t)round, fc_mode() == (before & FC_MODE_BITS), 1, 0);
        for (size_t i = 0; i < 2; i++) check("mode of a task", i, job.product[i] == 0, flush, 0);
    }
}

static void count_elsewhere(void *context, size_t index, void *scratch) {
    (void)index;
    pool_job *job = context;
    job->strays += scratch != job;
}

/* Threads for the calls of one thread, more or fewer than for all others'. */
static void test_own_threads(void) {
    fc_set_threads(3);
    if (fc_get_threads() < 3 || under_valgrind()) return;
    check("own threads before", 0, fc_set_own_threads(1), 0, 0);
    pool_job alone = {0};
    for (int round = 0; round < 100; round++) fc_run(count_elsewhere, &alone, 40, &alone);
    check("tasks by others", 0, alone.strays, 0, 0);
    check("own threads: one", 0, fc_set_own_threads(2), 1, 0);
    fc_set_threads(1);
    mode_job both = {0, 1, {NAN, NAN}};
    fc_run(multiply, &both, 2, NULL); /* its tasks wait for each other */
    check("tasks that met", 0, both.begun, 2, 0);
    check("own threads: two", 0, fc_set_own_threads(0), 2, 0);
    fc_run(count_elsewhere, &alone, 40, &alone);
    check("tasks by others afterwards", 0, alone.strays, 0, 0);
}

/* Products, minibatches and norms: the same bits for any number of threads. */
static void test_affine(size_t N, size_t D, size_t M) {
    real *x = array(N * D), *w = array(D * M), *b = array(M), *dout = array(N * M);
    real *out = output(N * M), *dx = output(N * D), *dw = output(D * M), *db = output(M);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    fc_set_threads(1);
    KERNELS->affine_forward(out, x, w, b, N, D, M, workspace);
    KERNELS->affine_backward(dx, dw, db, dout, x, w, N, D, M, workspace);
    for (int threads = 2; threads <= 5; threads++) {
        real *out2 = output(N * M), *dx2 = output(N * D), *dw2 = output(D * M), *db2 = output(M);
        fc_set_threads(threads);
        KERNELS->affine_forward(out2, x, w, b, N, D, M, workspace);
        KERNELS->affine_backward(dx2, dw2, db2, dout, x, w, N, D, M, workspace);
        check("affine out", (size_t)threads, memcmp(out, out2, N * M * sizeof *out), 0, 0);
        check("affine dx", (size_t)threads, memcmp(dx, dx2, N * D * sizeof *dx), 0, 0);
        check("affine dw", (size_t)threads, memcmp(dw, dw2, D * M * sizeof *dw), 0, 0);
        check("affine db", (size_t)threads, memcmp(db, db2, M * sizeof *db), 0, 0);
        free(out2), free(dx2), free(dw2), free(db2);
    }
    free(x), free(w), free(b), free(dout), free(out), free(dx), free(dw), free(db), free(workspace);
}

static void test_gather(size_t N, size_t D) {
    real *x = array(5 * D), *one = output(N * D), *several = output(N * D);
    int64_t *index = malloc(N * sizeof *index);
    for (size_t i = 0; i < N; i++) index[i] = (int64_t)(i * 7 % 5);
    const fc_type type = FC_DOUBLE ? FC_FLOAT64 : FC_FLOAT32;
    fc_set_threads(1);
    const fc_gather rows = {x, type, (ptrdiff_t)(D * sizeof *x), index, NULL, NULL};
    KERNELS->gather(one, &rows, N, D);
    fc_set_threads(5);
    KERNELS->gather(several, &rows, N, D);
    check("gather", N, memcmp(one, several, N * D * sizeof *one), 0, 0);
    free(x), free(one), free(several), free(index);
}

static void test_squares(size_t n) {
    real *x = array(n);
    fc_set_threads(1);
    const double sum = KERNELS->sum_of_squares(x, n);
    for (int threads = 2; threads <= 5; threads++) {
        fc_set_threads(threads);
        check("sum_of_squares", n, KERNELS->sum_of_squares(x, n), sum, 0);
    }
    free(x);
}

enum { LAYERS = 3 };

enum { NONE, BATCHNORM, LAYERNORM };

/* One step. */
static double network_step(const fc_network *net, const real *x) {
    double loss = NAN;
    const fc_steps one = {.most = 1, .loss = &loss};
    check("network steps", net->N, (double)KERNELS->network_steps(&one, net, x), 1, 0);
    return loss;
}

/* Runs the pass again with an update of every parameter, each by numbers of its own: the updates
 * must be those by the gradients that the first run, without updates, has stored. */
static void test_network_updates(fc_network *net, const real *x, double loss) {
    real *kept[LAYERS][4], *expected[LAYERS][4];
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < 4; k++) {
            fc_param *param = &net->layers[l].params[k];
            if (!param->w) continue;
            kept[l][k] = output(param->n), expected[l][k] = output(param->n);
            memcpy(kept[l][k], param->dw, param->n * sizeof(real));
            param->next_w = output(param->n), param->number[0] = 0.3 + k;
            KERNELS->sgd(expected[l][k], param->w, kept[l][k], 0.3 + k, param->n);
        }
    if (net->state) seed_mt19937(net->state);
    net->rule = FC_SGD;
    const double again = network_step(net, x);
    net->rule = FC_NO_UPDATE;
    check("network loss again", net->N, again, loss, 0);
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < 4; k++) {
            fc_param *param = &net->layers[l].params[k];
            if (!param->w) continue;
            const size_t bytes = param->n * sizeof(real);
            check("network next_w", (size_t)k, memcmp(param->next_w, expected[l][k], bytes), 0, 0);
            memcpy(param->dw, kept[l][k], bytes);
            free(kept[l][k]), free(expected[l][k]), free(param->next_w);
        }
}

/* a + b * c, not fused: the product is rounded, then the sum. */
static real plus_product(real a, real b, real c) {
    volatile real product = b * c;
    return a + product;
}

/* The whole pass has the bits of the single operations, called one after another. */
static void test_network(size_t N, const size_t *dims, int normalization, double p, int drop,
                         int gathered, int philox, double reg) {
    fc_layer layers[LAYERS] = {0};
    fc_mt19937 state, plain;
    size_t widest = 0;
    real *x = array(N * dims[0]), *params[LAYERS][4], *work[LAYERS][11];
    int64_t *y = malloc(N * sizeof *y);
    for (size_t i = 0; i < N; i++) y[i] = (int64_t)(i % dims[LAYERS]);
    for (int l = 0; l < LAYERS; l++) {
        const size_t D = dims[l], M = dims[l + 1], sizes[4] = {D * M, M, M, M};
        const int hidden = l + 1 < LAYERS;
        const size_t greatest = fc_row_stride(M, sizeof(real));
        widest = greatest > widest ? greatest : widest;
        for (int k = 0; k < 4; k++) params[l][k] = array(sizes[k]);
        for (int k = 0; k < 4; k++) work[l][k] = output(sizes[k]); /* gradients */
        const size_t stride = hidden ? fc_row_stride(M, sizeof(real)) : M;
        for (int k = 4; k < 6; k++) work[l][k] = output(N * stride); /* out, normal */
        work[l][6] = aligned_alloc(64, (fc_activation_mask_bytes(N, M) + 63) / 64 *
                                           64);                  /* activation_mask */
        work[l][7] = output(normalization == LAYERNORM ? N : M); /* rstd */
        for (int k = 8; k < 10; k++) work[l][k] = output(M);     /* next */
        work[l][10] = array(M);                                  /* running */
        for (size_t j = 0; j < M; j++) work[l][10][j] = (real)fabs(work[l][10][j]);
        real **w = work[l];
        layers[l] = (fc_layer){.D = D,
                               .M = M,
                               .layernorm = normalization == LAYERNORM,
                               .running_mean = w[10],
                               .running_var = w[10],
                               .eps = 1e-3,
                               .momentum = 0.75,
                               .next_mean = w[8],
                               .next_var = w[9],
                               .stride = stride,
                               .out = w[4],
                               .x_normalized = w[5],
                               .activation_mask = (uint16_t *)w[6],
                               .rstd = w[7],
                               .keep = p < 1 && hidden ? malloc(N * M + 16) : NULL,
                               .key = 77 + (uint64_t)l};
        for (int k = 0; k < (normalization && hidden ? 4 : 2); k++)
            layers[l].params[k] = (fc_param){.n = sizes[k], .w = params[l][k], .dw = w[k]};
    }
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    seed_mt19937(&state);
    plain = state;
    const fc_type type = FC_DOUBLE ? FC_FLOAT64 : FC_FLOAT32;
    int64_t *index = malloc(N * sizeof *index);
    for (size_t i = 0; i < N; i++) index[i] = (int64_t)i;
    const fc_gather rows = {x, type, (ptrdiff_t)(dims[0] * sizeof *x), index, NULL, NULL};
    fc_network net = {N,
                      LAYERS,
                      layers,
                      p,
                      drop,
                      p < 1 && !philox ? &state : NULL,
                      gathered ? &rows : NULL,
                      output(N * fc_row_stride(dims[0], sizeof(real))),
                      {output(N * widest), output(N * widest)},
                      workspace,
                      {.kind = FC_SOFTMAX_LOSS, .number = 0.2, .labels = y},
                      NULL,
                      reg,
                      philox,
                      FC_NO_UPDATE,
                      0,
                      0,
                      NULL,
                      0};
    const double loss = network_step(&net, gathered ? NULL : x);
    test_network_updates(&net, gathered ? NULL : x, loss);

    real *outs[LAYERS], *relus[LAYERS], *inputs[LAYERS], *normals[LAYERS], *rstds[LAYERS],
        *masks[LAYERS];
    const real *h = x;
    for (int l = 0; l < LAYERS; l++) {
        const size_t D = dims[l], M = dims[l + 1];
        real *next_mean = output(M), *next_var = output(M), *normed = output(N * M);
        outs[l] = output(N * M), relus[l] = output(N * M), normals[l] = output(N * M);
        rstds[l] = output(M > N ? M : N), masks[l] = output(N * M), inputs[l] = (real *)h;
        KERNELS->affine_forward(outs[l], h, params[l][0], params[l][1], N, D, M, workspace);
        h = outs[l];
        if (layers[l].gamma.w && normalization == LAYERNORM) {
            KERNELS->layernorm_forward(normed, normals[l], rstds[l], h, params[l][2], params[l][3],
                                       1e-3, N, M);
            memcpy(outs[l], normed, N * M * sizeof(real));
        } else if (layers[l].gamma.w) {
            KERNELS->batchnorm_forward(normed, normals[l], rstds[l], next_mean, next_var, h,
                                       params[l][2], params[l][3], work[l][10], work[l][10], 1e-3,
                                       0.75, N, M);
            memcpy(outs[l], normed, N * M * sizeof(real));
            check("network next_mean", (size_t)l, memcmp(next_mean, work[l][8], M * sizeof(real)),
                  0, 0);
            check("network next_var", (size_t)l, memcmp(next_var, work[l][9], M * sizeof(real)), 0,
                  0);
        }
        if (l + 1 < LAYERS) {
            KERNELS->relu_forward(relus[l], h, N * M);
            if (philox)
                KERNELS->dropout_philox(relus[l], masks[l], relus[l], layers[l].key, 0, p, drop,
                                        N * M);
            else if (p < 1)
                KERNELS->dropout_forward(relus[l], masks[l], &plain, relus[l], p, drop, N * M);
            h = relus[l];
        }
        free(next_mean), free(next_var), free(normed);
    }
    real *dout = output(N * widest), *dx = output(N * widest);
    const double expected_loss =
        KERNELS->data_loss(dout, outs[LAYERS - 1], &net.loss, N, dims[LAYERS]);
    real total = (real)expected_loss;
    for (int l = 0; l < LAYERS && reg > 0; l++)
        total = plus_product(total, (real)0.5 * (real)reg,
                             (real)KERNELS->sum_of_squares(params[l][0], dims[l] * dims[l + 1]));
    check("network loss", N, loss, total, 0);
    check("network random state", N, memcmp(&state, &plain, sizeof state), 0, 0);
    for (int l = LAYERS - 1; l >= 0; l--) {
        const size_t D = dims[l], M = dims[l + 1];
        real *dw = output(D * M), *db = output(M), *dgamma = output(M), *dbeta = output(M);
        real *input_gradient = output(N * D);
        if (l + 1 < LAYERS) {
            if (p < 1) KERNELS->dropout_apply(dout, dout, masks[l], N * M);
            KERNELS->relu_backward(dout, dout, outs[l], N * M);
        }
        if (layers[l].gamma.w) {
            if (normalization == LAYERNORM)
                KERNELS->layernorm_backward(dout, dgamma, dbeta, dout, normals[l], rstds[l],
                                            params[l][2], N, M, workspace);
            else
                KERNELS->batchnorm_backward(dout, dgamma, dbeta, dout, normals[l], rstds[l],
                                            params[l][2], N, M);
            check("network dgamma", (size_t)l, memcmp(dgamma, work[l][2], M * sizeof(real)), 0, 0);
            check("network dbeta", (size_t)l, memcmp(dbeta, work[l][3], M * sizeof(real)), 0, 0);
        }
        KERNELS->affine_backward(input_gradient, dw, db, dout, inputs[l], params[l][0], N, D, M,
                                 workspace);
        for (size_t i = 0; i < D * M && reg > 0; i++)
            dw[i] = plus_product(dw[i], (real)reg, params[l][0][i]);
        check("network dw", (size_t)l, memcmp(dw, work[l][0], D * M * sizeof(real)), 0, 0);
        check("network db", (size_t)l, memcmp(db, work[l][1], M * sizeof(real)), 0, 0);
        if (l > 0) memcpy(dx, input_gradient, N * D * sizeof(real));
        real *swap = dout;
        dout = dx, dx = swap;
        free(dw), free(db), free(dgamma), free(dbeta), free(input_gradient);
    }
    free(dout), free(dx), free(net.dout[0]), free(net.input), free(index), free(net.dout[1]),
        free(workspace), free(x), free(y);
    for (int l = 0; l < LAYERS; l++) {
        for (int k = 0; k < 4; k++) free(params[l][k]);
        for (int k = 0; k < 11; k++) free(work[l][k]);
        free(layers[l].keep), free(outs[l]), free(relus[l]), free(normals[l]), free(rstds[l]);
        free(masks[l]);
    }
}

/* A pass in test mode, by blocks of rows and with two work arrays, has the bits of the single
 * operations. */
static void test_scores(size_t N, const size_t *dims, int normalization) {
    fc_layer layers[LAYERS] = {0};
    size_t widest = 0;
    const size_t rows = N < FC_SCORES_ROWS ? N : FC_SCORES_ROWS;
    real *x = array(N * dims[0]), *params[LAYERS][6], *work[2];
    for (int l = 0; l < LAYERS; l++) {
        const size_t D = dims[l], M = dims[l + 1], stride = fc_row_stride(M, sizeof(real));
        if (l + 1 < LAYERS && stride > widest) widest = stride;
        for (int k = 0; k < 6; k++) params[l][k] = array(k ? M : D * M);
        for (size_t j = 0; j < M; j++) params[l][5][j] = (real)fabs(params[l][5][j]);
        layers[l] = (fc_layer){.D = D,
                               .M = M,
                               .layernorm = normalization == LAYERNORM,
                               .running_mean = params[l][4],
                               .running_var = params[l][5],
                               .eps = 1e-3,
                               .stride = stride};
        for (int k = 0; k < (normalization && l + 1 < LAYERS ? 4 : 2); k++)
            layers[l].params[k].w = params[l][k];
    }
    for (int k = 0; k < 2; k++) work[k] = output(rows * widest);
    for (int l = 0; l + 1 < LAYERS; l++) layers[l].out = work[l % 2];
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    const fc_network net = {.N = N, .count = LAYERS, .layers = layers, .workspace = workspace};
    real *scores = output(N * dims[LAYERS]);
    KERNELS->network_scores(scores, &net, x);

    real *h = x;
    for (int l = 0; l < LAYERS; l++) {
        const size_t D = dims[l], M = dims[l + 1];
        real *out = output(N * M), *normed = output(N * M), *hat = output(N * M), *rstd = output(N);
        KERNELS->affine_forward(out, h, params[l][0], params[l][1], N, D, M, workspace);
        free(h), h = out;
        if (layers[l].gamma.w && normalization == LAYERNORM)
            KERNELS->layernorm_forward(normed, hat, rstd, out, params[l][2], params[l][3], 1e-3, N,
                                       M);
        else if (layers[l].gamma.w)
            KERNELS->batchnorm_inference(normed, out, params[l][2], params[l][3], params[l][4],
                                         params[l][5], 1e-3, N, M);
        if (l + 1 < LAYERS) KERNELS->relu_forward(h, layers[l].gamma.w ? normed : out, N * M);
        free(normed), free(hat), free(rstd);
    }
    check("network scores", N, memcmp(scores, h, N * dims[LAYERS] * sizeof(real)), 0, 0);
    free(h), free(scores), free(work[0]), free(work[1]), free(workspace);
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < 6; k++) free(params[l][k]);
}

/* Updating all parameters in one call has the bits of updating each, with or without clipping. */
static void test_update(double clip_norm) {
    enum { PARAMS = 3 };
    const size_t sizes[PARAMS] = {40000, 1, 17};
    fc_param params[PARAMS] = {0};
    fc_param *pointers[PARAMS];
    real *expected[PARAMS][3], *gradient[PARAMS];
    double squares = 0;
    for (int i = 0; i < PARAMS; i++) {
        gradient[i] = array(sizes[i]);
        squares += KERNELS->sum_of_squares(gradient[i], sizes[i]);
    }
    const double norm = sqrt(squares);
    const real scale = (real)(clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1);
    for (int i = 0; i < PARAMS; i++) {
        const size_t n = sizes[i];
        real *w = array(n), *dw = output(n), *v = array(n), *a = array(n);
        for (size_t j = 0; j < n; j++) dw[j] = gradient[i][j] * scale;
        for (size_t j = 0; j < n; j++) a[j] = (real)fabs(a[j]);
        for (int k = 0; k < 3; k++) expected[i][k] = output(n);
        KERNELS->adam(expected[i][0], expected[i][1], expected[i][2], w, dw, v, a, 0.1, 0.9, 0.99,
                      1e-3, 2, n);
        memcpy(dw, gradient[i], n * sizeof(real));
        params[i] = (fc_param){n, w, dw, {v, a}, w, {v, a}, {0.1, 0.9, 0.99, 1e-3, 2}, {0}};
        pointers[i] = &params[i];
    }
    KERNELS->update(pointers, FC_ADAM, clip_norm, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        const size_t bytes = sizes[i] * sizeof(real);
        check("update w", (size_t)i, memcmp(params[i].w, expected[i][0], bytes), 0, 0);
        check("update v", (size_t)i, memcmp(params[i].state[0], expected[i][1], bytes), 0, 0);
        check("update a", (size_t)i, memcmp(params[i].state[1], expected[i][2], bytes), 0, 0);
        check("update dw", (size_t)i, memcmp(params[i].dw, gradient[i], bytes), 0, 0);
        free(gradient[i]);
        free(params[i].next_w), free(params[i].dw);
        free(params[i].next_state[0]), free(params[i].next_state[1]);
        for (int k = 0; k < 3; k++) free(expected[i][k]);
    }
}

static void tests(void) {
    static const size_t dims[][LAYERS + 1] = {{1, 1, 1, 1}, {7, 33, 16, 10}, {300, 130, 65, 3}};
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        test_affine(products[i][0], products[i][1], products[i][2]);
    test_gather(200, 513);
    test_squares(70001);
    test_squares(4000001);
    for (int i = 0; i < 3; i++)
        for (int normalization = NONE; normalization <= LAYERNORM; normalization++)
            for (int dropout = 0; dropout < 3; dropout++) { /* none, keep, drop */
                const double p = dropout ? 0.3 : 1;
                const int drop = dropout > 1, philox = dropout > 0;
                test_network(1, dims[i], normalization, p, drop, 0, 0, 0);
                test_network(101, dims[i], normalization, p, drop, i > 0, 0, 0.7);
                test_network(101, dims[i], normalization, p, drop, 0, philox, 0);
                test_network(301, dims[i], normalization, p, drop, i > 0, philox, 0.7);
            }
    for (int i = 0; i < 3; i++)
        for (int normalization = NONE; normalization <= LAYERNORM; normalization++) {
            test_scores(1, dims[i], normalization);
            test_scores(101, dims[i], normalization);
            test_scores(FC_SCORES_ROWS + 1, dims[i], normalization);
        }
    test_update(0);
    test_update(1e-2);
    test_update(1e9);
}

int main(void) {
    test_pool();
    test_many_tasks();
    test_mode();
    test_own_threads();
    return under_every_isa(tests);
}
