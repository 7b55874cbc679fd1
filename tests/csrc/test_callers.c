/* Several callers at once, each with arrays of its own, while the main thread keeps changing the
 * number of threads: every caller gets the bits that it gets alone on one thread, in the
 * floating-point mode that it chose.  A busy pool sends callers to their own threads, and a job
 * must never see another job's tasks, context or mode.  ThreadSanitizer runs these tests too. */
#include "runtime/system.h" /* first: it says which functions of the C library are asked for */
#include "runtime/fp_mode.h"
#include "test.h"

#if !defined(_WIN32)
#include <time.h>
#endif

enum { CALLERS = 4 };

static _Atomic(int) calling; /* threads */

typedef struct {
    void (*call)(void *context);
    void *context;
} call_of_thread;

static THREAD_RESULT run_call(void *argument) {
    const call_of_thread *self = argument;
    self->call(self->context);
    calling--;
    return 0;
}

static void rest(void) {
#if defined(_WIN32)
    Sleep(1);
#else
    nanosleep(&(struct timespec){0, 20000}, NULL); /* 20 us */
#endif
}

/* Runs `call` on CALLERS threads, each with its own of the contexts, `size` bytes apart. */
static void call_at_once(void (*call)(void *), void *contexts, size_t size) {
    call_of_thread calls[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        calls[i] = (call_of_thread){call, (char *)contexts + i * size};
        calling++;
        const int error = start_thread(run_call, &calls[i]);
        check("thread of a caller", i, error, 0, 0);
        if (error) exit(1);
    }
    for (int i = 0; calling > 0; i++) {
        fc_set_threads(1 + i % 5);
        rest();
    }
}

/* Jobs for the pool: each task of each caller's job runs once, and none of another's. */
enum { MOST_TASKS = 40, JOBS = 5000 };

typedef struct {
    size_t count;
    _Atomic(int) runs[MOST_TASKS];
    long once, tasks;
} pool_caller;

static void count_run(void *context, size_t index, void *scratch) {
    pool_caller *job = context;
    volatile size_t *mine = scratch;
    *mine = index;
    if (index < job->count && *mine == index) job->runs[index]++;
}

static void run_jobs(void *context) {
    pool_caller *job = context;
    size_t scratch[8];
    for (int round = 0; round < JOBS; round++) {
        job->count = round % 2 ? MOST_TASKS : 2 + (size_t)round % 3;
        for (size_t i = 0; i < MOST_TASKS; i++) job->runs[i] = 0;
        fc_run(count_run, job, job->count, scratch);
        for (size_t i = 0; i < MOST_TASKS; i++) job->once += job->runs[i] == (i < job->count);
        job->tasks += MOST_TASKS;
    }
}

static void test_pool(void) {
    static pool_caller jobs[CALLERS];
    call_at_once(run_jobs, jobs, sizeof *jobs);
    for (size_t i = 0; i < CALLERS; i++)
        check("tasks of a caller", i, (double)jobs[i].once, (double)jobs[i].tasks, 0);
}

/* One caller of kernels.  All arrays that it reads or writes lie in `memory`, which a round begins
 * as `start` and ends as `expected`. */
enum { LAYERS = 3, STEPS = 3, ROUNDS = 6, CLASSES = 10 };
static const size_t MEMORY = 1 << 20;

typedef struct {
    int flush; /* whether its floating-point mode takes denormals for zero */
    long different;
    size_t used;
    real *start, *memory, *expected;
    void *workspace;
    real *x, *w, *b, *gamma, *out, *dx, *dw, *db, *hat, *rstd, *mean, *var, *loss_gradient;
    double *number;
    int64_t *index;
    fc_layer layers[LAYERS];
    fc_network net;
} caller;

static const size_t N = 70, D = 300, M = 100;
static const size_t dims[LAYERS + 1] = {64, 130, 65, CLASSES};

/* n elements of `size` bytes from the caller's memory, zeros, aligned to 64 bytes. */
static void *take(caller *c, size_t n, size_t size) {
    real *at = c->memory + c->used;
    c->used += (n * size + 63) / 64 * 64 / sizeof(real);
    if (c->used > MEMORY) exit(printf("MEMORY is too small: %zu\n", c->used));
    return at;
}

/* ... filled with numbers between -scale and scale. */
static real *random_array(caller *c, size_t n, double scale) {
    real *a = take(c, n, sizeof *a);
    for (size_t i = 0; i < n; i++) a[i] = (real)(scale * uniform());
    return a;
}

static void make_network(caller *c) {
    size_t widest = 0;
    for (int l = 0; l < LAYERS; l++) {
        fc_layer *layer = &c->layers[l];
        const size_t rows = N, in = dims[l], out = dims[l + 1],
                     sizes[4] = {in * out, out, out, out};
        const int hidden = l + 1 < LAYERS;
        const size_t stride = hidden ? fc_row_stride(out, sizeof(real)) : out;
        const size_t greatest = fc_row_stride(out, sizeof(real));
        widest = greatest > widest ? greatest : widest;
        *layer = (fc_layer){.D = in, .M = out, .eps = 1e-3, .momentum = 0.75, .stride = stride};
        layer->running_mean = layer->next_mean = take(c, out, sizeof(real));
        layer->running_var = layer->next_var = take(c, out, sizeof(real));
        layer->out = take(c, rows * stride, sizeof(real));
        layer->x_normalized = take(c, rows * stride, sizeof(real));
        layer->activation_mask = take(c, fc_activation_mask_bytes(rows, out), 1);
        layer->rstd = take(c, out, sizeof(real));
        layer->keep = hidden ? take(c, rows * out + 16, 1) : NULL;
        layer->key = 77 + (uint64_t)l;
        for (int k = 0; k < (hidden ? 4 : 2); k++) {
            real *w = random_array(c, sizes[k], 0.5), *v = take(c, sizes[k], sizeof *v);
            real *dw = take(c, sizes[k], sizeof *dw);
            layer->params[k] = (fc_param){.n = sizes[k],
                                          .w = w,
                                          .dw = dw,
                                          .state = {v, NULL},
                                          .next_w = w,
                                          .next_state = {v, NULL},
                                          .number = {0.1, 0.9}};
        }
    }
    c->net =
        (fc_network){.N = N,
                     .count = LAYERS,
                     .layers = c->layers,
                     .p = 0.7,
                     .dout = {take(c, N * widest, sizeof(real)), take(c, N * widest, sizeof(real))},
                     .workspace = c->workspace,
                     .loss = {.kind = FC_SOFTMAX_LOSS, .labels = c->index},
                     .reg = 0.01,
                     .philox = 1,
                     .rule = FC_SGD_MOMENTUM};
}

/* Numbers near the smallest normal one, so that the mode decides bits of the product. */
#define TINY (FC_DOUBLE ? DBL_MIN : (double)FLT_MIN)

static void make_caller(caller *c) {
    c->memory = aligned_alloc(64, MEMORY * sizeof(real));
    memset(c->memory, 0, MEMORY * sizeof(real));
    c->workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    c->x = random_array(c, N * D, 1);
    c->w = random_array(c, D * M, TINY);
    c->b = random_array(c, D, TINY);
    c->gamma = random_array(c, D, 1);
    c->out = take(c, N * D, sizeof(real));
    c->dx = take(c, N * D, sizeof(real));
    c->dw = take(c, D * M, sizeof(real));
    c->db = take(c, D, sizeof(real));
    c->hat = take(c, N * D, sizeof(real));
    c->rstd = take(c, D, sizeof(real));
    c->mean = take(c, D, sizeof(real));
    c->var = take(c, D, sizeof(real));
    c->loss_gradient = take(c, N * CLASSES, sizeof(real));
    c->number = take(c, 2 + STEPS, sizeof *c->number);
    c->index = take(c, N, sizeof *c->index);
    for (size_t i = 0; i < N; i++) c->index[i] = (int64_t)(i * 7 % CLASSES);
    make_network(c);
    c->start = malloc(MEMORY * sizeof(real));
    c->expected = malloc(MEMORY * sizeof(real));
    memcpy(c->start, c->memory, MEMORY * sizeof(real));
}

static void free_caller(caller *c) {
    free(c->memory), free(c->workspace), free(c->start), free(c->expected);
}

/* Kernels of each kind, one after the other over the same arrays, then steps of training. */
static void call_kernels(caller *c) {
    const fc_type type = FC_DOUBLE ? FC_FLOAT64 : FC_FLOAT32;
    const fc_gather rows = {c->x, type, (ptrdiff_t)(D * sizeof(real)), c->index, NULL, NULL};
    KERNELS->affine_forward(c->out, c->x, c->w, c->b, N, D, M, c->workspace);
    KERNELS->affine_backward(c->dx, c->dw, c->db, c->out, c->x, c->w, N, D, M, c->workspace);
    c->number[0] = KERNELS->sum_of_squares(c->x, N * D);
    KERNELS->batchnorm_forward(c->out, c->hat, c->rstd, c->mean, c->var, c->x, c->gamma, c->b, c->b,
                               c->gamma, 1e-3, 0.75, N, D);
    KERNELS->batchnorm_backward(c->dx, c->mean, c->var, c->out, c->hat, c->rstd, c->gamma, N, D);
    KERNELS->layernorm_forward(c->out, c->hat, c->rstd, c->dx, c->gamma, c->b, 1e-3, N, D);
    KERNELS->layernorm_backward(c->dx, c->mean, c->var, c->out, c->hat, c->rstd, c->gamma, N, D,
                                c->workspace);
    const fc_loss softmax = {.kind = FC_SOFTMAX_LOSS, .number = 0.1, .labels = c->index};
    c->number[1] = KERNELS->data_loss(c->loss_gradient, c->x, &softmax, N, CLASSES);
    KERNELS->gather(c->hat, &rows, N, D);
    for (int step = 0; step < STEPS; step++) {
        for (int l = 0; l < LAYERS; l++) c->layers[l].key += 1000;
        const fc_steps one = {.most = 1, .loss = &c->number[2 + step]};
        KERNELS->network_steps(&one, &c->net, c->x);
    }
    for (int l = 0; l < LAYERS; l++) c->layers[l].key -= 1000 * (uint64_t)STEPS;
}

static void run_round(caller *c) {
    memcpy(c->memory, c->start, MEMORY * sizeof(real));
    FC_FLUSHED(c->flush, call_kernels(c));
}

static void run_rounds(void *context) {
    caller *c = context;
    for (int round = 0; round < ROUNDS; round++) {
        run_round(c);
        c->different += memcmp(c->memory, c->expected, MEMORY * sizeof(real)) != 0;
    }
}

/* Two and two have the same numbers and different modes. */
static void tests(void) {
    static caller callers[CALLERS];
    memset(callers, 0, sizeof callers);
    fc_set_threads(1);
    for (size_t i = 0; i < CALLERS; i++) {
        caller *c = &callers[i];
        const caller *twin = &callers[i & ~(size_t)1];
        make_caller(c);
        c->flush = c != twin;
        memmove(c->start, twin->start, MEMORY * sizeof(real));
        run_round(c);
        memcpy(c->expected, c->memory, MEMORY * sizeof(real));
        for (int step = 0; step < STEPS; step++)
            check("loss of a caller", i, isfinite(c->number[2 + step]), 1, 0);
        if (c->flush && FC_FLUSH_BITS != 0 && !under_valgrind())
            check("the mode shows", i,
                  memcmp(c->expected, twin->expected, MEMORY * sizeof(real)) != 0, 1, 0);
    }
    call_at_once(run_rounds, callers, sizeof *callers);
    for (size_t i = 0; i < CALLERS; i++) {
        check("rounds with other bits", i, (double)callers[i].different, 0, 0);
        free_caller(&callers[i]);
    }
}

int main(void) {
    test_pool();
    return under_every_isa(tests);
}
