/* Scores of packed weights, without Python: bit for bit those of the operations one by one, in any
 * batch, on any number of threads.  Arrays are of exactly the size needed, as in test_kernels.c. */
#include "test.h"

enum { LAYERS = 4 };

static const char *const kinds[] = {"none", "batchnorm", "layernorm"};

/* A network of up to LAYERS layers, plain and packed. */
typedef struct {
    size_t sizes[LAYERS + 1], count;
    int kind, activation;
    fc_layer layers[LAYERS], packed[LAYERS];
    fc_predictor net;
} network;

static void make(network *n, int kind, int activation, size_t count, const size_t *sizes) {
    *n = (network){.count = count, .kind = kind, .activation = activation};
    memcpy(n->sizes, sizes, (count + 1) * sizeof *sizes);
    n->net = (fc_predictor){count, n->packed, 0, 0};
    for (size_t i = 0; i < count; i++) {
        const size_t D = sizes[i], M = sizes[i + 1], padded = fc_padded(M, sizeof(real));
        fc_layer *l = &n->layers[i];
        *l = (fc_layer){.D = D, .M = M, .layernorm = kind == 2, .eps = 1e-3};
        l->activation = activation;
        l->w.w = array(D * M), l->b.w = array(M);
        if (kind && i + 1 < count) {
            real *var = array(M);
            for (size_t j = 0; j < M; j++) var[j] = (real)fabs(var[j]);
            l->gamma.w = array(M), l->beta.w = array(M);
            l->running_mean = array(M), l->running_var = var;
        }
        n->packed[i] = *l;
        real *w = output(D * padded), *b = output(padded), *again = output(D * M);
        const int finite = KERNELS->copy_weights(w, (real *)l->w.w, D, M, 0);
        KERNELS->copy_weights(w, again, D, M, 1);
        for (size_t j = 0; j < D * M; j++)
            check_bits("unpacked", j, again[j], ((const real *)l->w.w)[j]);
        memset(b, 0, padded * sizeof(real));
        memcpy(b, l->b.w, M * sizeof(real));
        n->packed[i].w.w = w, n->packed[i].b.w = b, n->packed[i].w_is_finite = finite;
        n->net.work += D * M;
        free(again);
        if (i + 1 == count) continue;
        n->packed[i].stride = fc_row_stride(M, sizeof(real));
        if (n->packed[i].stride > n->net.widest) n->net.widest = n->packed[i].stride;
    }
}

static void destroy(network *n) {
    for (size_t i = 0; i < n->count; i++) {
        fc_layer *l = &n->layers[i];
        free((void *)l->w.w), free((void *)l->b.w), free((void *)l->gamma.w);
        free((void *)l->beta.w), free((void *)l->running_mean), free((void *)l->running_var);
        free((void *)n->packed[i].w.w), free((void *)n->packed[i].b.w);
    }
}

/* The scores of N rows by single operations. */
static real *compose(const network *n, const real *x, size_t N) {
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    const real *from = x;
    real *out = NULL;
    for (size_t i = 0; i < n->count; i++) {
        const fc_layer *l = &n->layers[i];
        out = output(N * l->M);
        KERNELS->affine_forward(out, from, l->w.w, l->b.w, N, l->D, l->M, workspace);
        if (i > 0) free((void *)from);
        if (l->gamma.w && l->layernorm) {
            real *next = output(N * l->M), *normalized = output(N * l->M), *rstd = output(N);
            KERNELS->layernorm_forward(next, normalized, rstd, out, l->gamma.w, l->beta.w, l->eps,
                                       N, l->M);
            free(out), free(normalized), free(rstd);
            out = next;
        } else if (l->gamma.w) {
            KERNELS->batchnorm_inference(out, out, l->gamma.w, l->beta.w, l->running_mean,
                                         l->running_var, l->eps, N, l->M);
        }
        if (i + 1 < n->count && n->activation == FC_RELU)
            KERNELS->relu_forward(out, out, N * l->M);
        else if (i + 1 < n->count)
            KERNELS->activation_forward(out, out, n->activation, N * l->M);
        from = out;
    }
    free(workspace);
    return out;
}

/* every: of so many elements of x one is not zero. */
static void test_rows(const network *n, size_t N, size_t every) {
    const size_t C = n->sizes[n->count], D = n->sizes[0];
    real *x = array(N * D), *scores = malloc((N * C + 1) * sizeof(real));
    for (size_t i = 0; i < N * D; i++)
        if (i * 2654435761 / 65536 % every) x[i] = 0;
    for (size_t i = 0; i <= N * C; i++) scores[i] = NAN;
    const size_t bytes = fc_predict_bytes(&n->net, N, sizeof(real));
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(memory, 255, bytes); /* NaN */
    KERNELS->predict(scores, &n->net, x, N, memory);
    real *expected = compose(n, x, N);
    for (size_t i = 0; i < N * C; i++) check_bits(kinds[n->kind], i, scores[i], expected[i]);
    check("behind the scores", N, scores[N * C], NAN, 0);
    real *alone = malloc(C * sizeof(real));
    for (size_t i = 0; i < N; i += 1 + N / 5) {
        KERNELS->predict(alone, &n->net, x + i * D, 1, memory);
        for (size_t j = 0; j < C; j++) check_bits("alone", i, alone[j], scores[i * C + j]);
    }
    free(x), free(scores), free(memory), free(expected), free(alone);
}

static void test_predict(const network *n, size_t N) { test_rows(n, N, 1); }

/* Where x is mostly zeros, these are left out, and with an infinity in w they are not. */
static void test_zeros(const network *n) {
    static const size_t counts[] = {1, 2, 3, 4, 17, 64, 300};
    real *w = (real *)n->layers->w.w;
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            test_rows(n, counts[j], 5);
            test_rows(n, counts[j], 500);
        }
        if (n->kind) return;
        w[n->sizes[1] - 1] = (real)INFINITY;
        fc_layer *packed = (fc_layer *)n->packed;
        packed->w_is_finite =
            KERNELS->copy_weights((real *)packed->w.w, w, packed->D, packed->M, 0);
        check("not finite", 0, packed->w_is_finite, 0, 0);
    }
}

static void tests(void) {
    static const size_t counts[] = {0, 1, 2, 3, 5, 13, 14, 17, 31, 120, 300};
    static const size_t widths[] = {1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 97, 100, 193, 209};
    static const size_t networks[][LAYERS + 1] = {
        {64, 64, 33, 10}, {257, 100, 100, 100, 10}, {1, 1, 1},
        {600, 530, 3},    {3072, 20, 10},           {13, 1100, 37, 5, 130},
    };
    network n;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
            size_t count = LAYERS;
            while (networks[i][count] == 0) count--;
            make(&n, kind, FC_RELU, count, networks[i]);
            for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) test_predict(&n, counts[j]);
            destroy(&n);
        }
        for (int activation = FC_IDENTITY; activation <= FC_GELU; activation++) {
            make(&n, kind, activation, 3, networks[0]);
            for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) test_predict(&n, counts[j]);
            destroy(&n);
        }
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (size_t j = 0; j < sizeof widths / sizeof *widths; j += 3) {
                make(&n, kind, FC_RELU, 2, (size_t[]){widths[j], widths[i], widths[(i + j) % 16]});
                test_predict(&n, 1);
                test_predict(&n, 4);
                destroy(&n);
            }
    }
    for (int kind = 0; kind < 3; kind++) {
        make(&n, kind, FC_RELU, 2, (size_t[]){784, 100, 10});
        test_zeros(&n);
        destroy(&n);
        make(&n, kind, FC_TANH, 3, (size_t[]){300, 531, 129, 3});
        test_zeros(&n);
        destroy(&n);
    }
    make(&n, 2, FC_RELU, 3, (size_t[]){40, 30, 20, 10});
    fc_set_threads(3);
    test_predict(&n, FC_SCORES_ROWS);
    test_predict(&n, 2 * FC_SCORES_ROWS + 1);
    fc_set_threads(1);
    destroy(&n);
}

int main(void) { return under_every_isa(tests); }
