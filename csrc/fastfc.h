/* fastfc's core: fully connected network training, float32 and float64.
 *
 * This is its whole interface.  The core knows nothing of Python.  There is a table of operations
 * for each (instruction set, dtype); fc_isa_use chooses the two that fc_f32 and fc_f64 point to.
 *
 * Every array is dense, row-major and aligned to its element; sizes are in elements and may be 0.
 * The caller has checked all arguments: operations cannot fail, and neither allocate nor print. */
#ifndef FASTFC_H
#define FASTFC_H

#include <stddef.h>
#include <stdint.h>

/* The type of an array's elements, where an operation takes several. */
typedef enum { FC_FLOAT32, FC_FLOAT64, FC_UINT8 } fc_type;

/* Rows of training data.  x is an array of rows, `stride` bytes apart, of adjacent elements of
 * `type`; `index` holds the numbers of the rows to take.  They are converted to the table's dtype
 * and then normalised: minus mean, divided by std, which have that dtype and a number for each
 * column.  mean and std may be NULL: then rows are only converted. */
typedef struct {
    const void *x;
    fc_type type;
    ptrdiff_t stride;
    const int64_t *index;
    const void *mean, *std;
} fc_gather;

/* The state of NumPy's MT19937 bit generator, with NumPy's own memory layout. */
typedef struct {
    uint32_t key[624];
    int pos;
} fc_mt19937;

/* Update rules: one serves all parameters of a network. */
enum {
    FC_NO_UPDATE,
    FC_SGD,
    FC_SGD_MOMENTUM,
    FC_SGD_NESTEROV_MOMENTUM,
    FC_RMSPROP,
    FC_ADAM,
    FC_ADAMW
};
enum { FC_STATES = 2, FC_NUMBERS = 6 }; /* the most that a rule has */

/* Activations of a network's hidden layers: what they are is in ops/activations.c and ops/relu.c.
 */
enum { FC_RELU, FC_IDENTITY, FC_LOGISTIC, FC_TANH, FC_LEAKY_RELU, FC_SILU, FC_GELU };

/* One parameter: n elements of the table's dtype, their gradient, and what an update needs.  State
 * and numbers stand in the order of the rule's arguments in table.h; each parameter has its own
 * numbers, since it has its own config: another learning rate, no decay of biases.  Outputs may be
 * their own inputs.  Of each rule number[0] is the learning rate, and of Adam's number[FC_T] the
 * steps so far, this one included,
 * and number[FC_EPSILON] its epsilon. */
enum { FC_EPSILON = 3, FC_T = 4 };
typedef struct {
    size_t n;
    const void *w;
    void *dw;
    const void *state[FC_STATES];
    void *next_w, *next_state[FC_STATES];
    double number[FC_NUMBERS];
    double power[2]; /* work: of Adam's betas, to the power of the steps */
} fc_param;

/* Row stride of a network's work arrays of M columns, in elements of `size` bytes: a whole and odd
 * number of cache lines, so that the elements of a column fall into different cache sets.  Products
 * can then read rows and columns in place, without packing. */
static inline size_t fc_row_stride(size_t M, size_t size) {
    return ((M * size + 63) / 64 | 1) * 64 / size;
}

/* The size of a layer's activation_mask, enough for any vector width.  It has N numbers for each
 * vector of columns, padded to whole cache lines: threads write different columns, and would slow
 * each other down in a shared line (false sharing). */
static inline size_t fc_activation_mask_rows(size_t N) { return (N + 31) / 32 * 32; }
static inline size_t fc_activation_mask_bytes(size_t N, size_t M) {
    return fc_activation_mask_rows(N) * (M / 2 + 1) * sizeof(uint16_t);
}

/* In batch normalisation, where rstd is below this, the batch's variance is beyond the greatest
 * number of its dtype (less a margin for rounding), and the running averages are left as they were.
 */
#define FC_LEAST_RSTD_F32 0x1.00001p-64f
#define FC_LEAST_RSTD_F64 0x1.0000000001p-512

/* One affine layer of a network with what follows it.  Arrays are of the table's dtype. */
typedef struct fc_layer {
    size_t D, M;
    union {
        struct {
            fc_param w, b;        /* (D, M), (M,) */
            fc_param gamma, beta; /* (M,); their w is NULL without normalisation */
        };
        fc_param params[4]; /* the same four, for loops */
    };
    int layernorm;                          /* over the features; else over the batch, and then: */
    const void *running_mean, *running_var; /* (M,) */
    double eps, momentum;
    void *next_mean, *next_var;   /* (M,), set */
    void *spare_mean, *spare_var; /* (M,) for the step after, in a call of several */
    int activation;               /* of a hidden layer */
    size_t stride;                /* of rows of the work arrays: fc_row_stride; last layer: M */
    void *out, *x_normalized;     /* work: (N, M) each, aligned to 64, zero behind the columns */
    uint16_t *activation_mask;    /* work, of ReLU: fc_activation_mask_bytes, aligned to 64 */
    void *slope;                  /* work, as out: of activations but ReLU and identity */
    void *rstd;                   /* work: (M,), for layer normalisation (N,) */
    uint8_t *keep;                /* (N, M) mask, 16 bytes more may be read; NULL: no dropout */
    uint64_t key;                 /* of the mask's stream, for philox */
    int w_is_finite;              /* a predictor's, as copy_weights says */
} fc_layer;

/* Losses: ops/loss.c says what each is.  `number` is softmax's and logistic's label_smoothing, the
 * point where huber becomes linear, quantile's level.  Softmax and svm are of scores and labels,
 * the others of scores and targets. */
typedef enum {
    FC_SOFTMAX_LOSS,
    FC_SVM_LOSS,
    FC_LOGISTIC_LOSS,
    FC_SQUARED_ERROR_LOSS,
    FC_ABSOLUTE_ERROR_LOSS,
    FC_HUBER_LOSS,
    FC_QUANTILE_LOSS,
    FC_POISSON_LOSS
} fc_loss_kind;
typedef struct {
    fc_loss_kind kind;
    double number;
    const int64_t *labels; /* (N,), each less than the number of classes */
    const void *targets;   /* (N, M) of the table's dtype */
    const double *weights; /* (N,) of the examples, none negative, their sum above 0; NULL: all 1 */
    double total;          /* 0, or the sum of more examples' weights, over which the mean is */
} fc_loss;

/* A batch that several processes share, each of which has some of its rows: see network/hidden.c.
 * Where a pass needs to know of the others' rows, `exchange` is called, between tasks and by the
 * thread that called the pass.  The weights of all rows are in fc_loss. */
enum { FC_STATISTICS, FC_SUMS, FC_LOSS };
struct fc_layer;
typedef struct {
    size_t first;   /* the place of this process' first row in the batch */
    int statistics; /* 0 or 1: batch normalisation is over all rows, not over this process' own */
    void *context;
    void (*exchange)(void *context, int what, const struct fc_layer *layer, double *numbers);
    double *numbers; /* work: (3, M) for the greatest M */
} fc_share;

typedef struct {
    size_t N, count; /* examples; layers */
    fc_layer *layers;
    double p;              /* probability of keeping a unit; with drop, of dropping one */
    int drop;              /* 0 or 1 */
    fc_mt19937 *state;     /* draws the masks; NULL where they are drawn already, or not needed */
    const fc_gather *rows; /* are gathered as the input; NULL: x is the input */
    void *input;           /* work, as out, for these rows: (N, D) */
    void *dout[2];         /* work, as out: (N, greatest stride) each */
    void *workspace;       /* FC_WORKSPACE_BYTES */
    fc_loss loss;
    const fc_share *share; /* N are some rows of a batch that other processes share; or NULL */
    double reg; /* rounded to the dtype: 0.5 reg sum(w^2) is added to the loss, reg w to dw */
    int philox; /* 0 or 1: masks are drawn by the layers' keys; then state is NULL */
    int rule;   /* by which each parameter is updated once its gradient is there; FC_NO_UPDATE: the
                 * gradients of all are left in their dw */
    int takes_nonfinite;     /* 0 or 1: parameters are updated too where the loss is not finite */
    double clip_norm;        /* above 0: updates are by gradients that are scaled to this norm */
    fc_param *const *params; /* for clip_norm: all parameters, in the order of the sum */
    size_t params_count;
} fc_network;

/* Labels of all examples: integers of 1, 2, 4 or 8 bytes, `stride` bytes apart. */
typedef struct {
    const void *y;
    ptrdiff_t stride;
    int bytes, is_signed;
} fc_labels;

/* Training steps in one call.  Without `examples` there is one step, on the examples given and what
 * net->loss has of them.  With `examples` each step takes rows of so many, of their labels or
 * targets, and of their weights: with `order` those that it has for the step, at most net->N;
 * else it draws its own minibatch. */
typedef struct {
    size_t most;          /* steps; at least 1 */
    int64_t nanoseconds;  /* no step but the first begins so long after the call */
    double *loss;         /* (most,) set, also for a step that is not taken */
    uint32_t examples;    /* how many rows there are */
    const int64_t *order; /* of them, step by step; NULL: rows are drawn */
    const int64_t *start; /* (most + 1,) where a step's rows begin in it, and the next one's */
    fc_mt19937 *state;    /* draws rows and keys; net->state may be it too */
    int64_t *index;       /* (N,) set to the step's rows; net->rows and targets have it as theirs */
    fc_labels labels;     /* of all examples; with */
    int64_t *y;           /* (N,) set to the step's, which net->loss has */
    fc_gather targets;    /* or these; with */
    void *target;         /* (N, M) set, as y */
    const double *weights; /* of all examples, or NULL; with */
    double *weight;        /* (N,) set, as y */
    int draws_keys;        /* whether each layer's key is drawn too, in each step */
    const double *base; /* (layers, 4) learning rates of the parameters, of which each step takes */
    const double *factor;  /* (most,) its factor; NULL: they stay as they are in `number` */
    const double *epsilon; /* (most,) of Adam, or NULL, the same */
    const double *alpha;   /* net->reg of a step is this / (its sum of weights); NULL: it stays */
    int64_t *time;         /* (most,) set: nanoseconds from the call to the step's end */
} fc_steps;

/* network_scores reads N, count, layers and workspace of a network; of a layer its sizes, its
 * parameters' w, running averages, eps, activation and stride, and of all but the last one out. out
 * needs rows for min(N, FC_SCORES_ROWS) examples, and successive layers may share two such arrays
 * in turn.  Nothing past their columns is read. */
#define FC_SCORES_ROWS 1024

/* A network as it was at one time, for scores alone.  Of its layers, predict reads what
 * network_scores reads, but w is packed (by copy_weights, for the same instruction set), b is
 * padded with zeros as fc_padded says, and there is no out: an fc_predictor is never written, and
 * any number of calls may use it at once. */
typedef struct {
    size_t count; /* layers */
    fc_layer *layers;
    size_t widest; /* greatest stride of a layer but the last; 0: there is none */
    size_t work;   /* multiply-adds for an example */
} fc_predictor;

/* M elements of `size` bytes, padded to whole cache lines: room for b; times D for packed weights.
 */
static inline size_t fc_padded(size_t M, size_t size) { return (M * size + 63) / 64 * 64 / size; }

/* The memory of a call for N examples. */
#define FC_PREDICT_SCRATCH ((size_t)1 << 15)
static inline size_t fc_predict_bytes(const fc_predictor *net, size_t N, size_t size) {
    const size_t rows = N < FC_SCORES_ROWS ? N : FC_SCORES_ROWS;
    return (N > 1 ? FC_PREDICT_SCRATCH : 0) + 2 * rows * net->widest * size;
}

#define real float
#define fc_kernels fc_kernels_f32
#include "table.h"
#undef real
#undef fc_kernels

#define real double
#define fc_kernels fc_kernels_f64
#include "table.h"
#undef real
#undef fc_kernels

/* The workspace of an operation: scratch memory, aligned to 64 bytes, enough for any sizes.  First
 * the part that all threads share, then the calling thread's own; workers have their own. */
#define FC_SHARED_BYTES ((size_t)1 << 22)
#define FC_SCRATCH_BYTES ((size_t)1 << 19)
#define FC_WORKSPACE_BYTES (FC_SHARED_BYTES + FC_SCRATCH_BYTES)

/* How many threads a call may use from now on, its caller included: 1, as at first, to
 * FC_MAX_THREADS; without threads (pool_serial.c) it stays 1.  No result depends on it.  Both
 * functions are visible outside the extension, since threadpoolctl calls them. */
#define FC_MAX_THREADS 256
#if defined(_WIN32)
#define FC_VISIBLE __declspec(dllexport)
#else
#define FC_VISIBLE __attribute__((visibility("default")))
#endif
FC_VISIBLE void fc_set_threads(int threads);
FC_VISIBLE int fc_get_threads(void);
/* The same for calls by this thread alone; 0, as at first: what all may use.  Returns what it was.
 */
int fc_set_own_threads(int threads);

/* The size of a core's L2 cache, after which products are cut into blocks.  No result depends on
 * it. fc_detect_caches sets bytes[i] to the size of the data cache of level i + 1, or to 0 where
 * the processor does not say. */
enum { FC_CACHE_LEVELS = 3 };
void fc_set_l2_bytes(size_t bytes);
size_t fc_get_l2_bytes(void);
void fc_detect_caches(size_t bytes[FC_CACHE_LEVELS]);

/* Runs tasks 0 to count - 1, in any order and on any thread, and returns when all are done.  Each
 * task gets FC_SCRATCH_BYTES of scratch memory that no other uses meanwhile: the calling thread's
 * is `scratch`. */
typedef void (*fc_task)(void *context, size_t index, void *scratch);
void fc_run(fc_task task, void *context, size_t count, void *scratch);

/* A clock that only goes forward. */
int64_t fc_nanoseconds(void);

/* A long operation looks up from its work: about every 100 ms the thread that called it calls
 * `look`, between two tasks, which returns whether to end early.  If so the operation soon returns,
 * and what it should have written is unspecified; `asked` says that it was.  An operation that has
 * begun to write over its inputs finishes all the same. */
typedef struct fc_watch {
    int (*look)(struct fc_watch *watch);
    int64_t due; /* when to look next */
    int asked, finishing;
    struct fc_watch *outer;
} fc_watch;
extern int64_t fc_look_nanoseconds; /* from one look to the next: tests set it */
/* Around one operation, on the thread that calls it. */
void fc_begin_watch(fc_watch *watch, int (*look)(fc_watch *watch));
void fc_end_watch(fc_watch *watch);
/* For operations: looks if it is time to, and returns whether to end early. */
int fc_look(void);
/* For operations: from here on this one finishes.  Returns 0 if it is to end early instead. */
int fc_finish(void);

/* The tables in use. */
extern const fc_kernels_f32 *fc_f32;
extern const fc_kernels_f64 *fc_f64;

/* The instruction sets that were built, slowest first. */
int fc_isa_count(void);
const char *fc_isa_name(int isa);
/* Whether this machine can run it. */
int fc_isa_available(int isa);
/* Puts the tables of an available instruction set to use.  Returns 0, or -1 without a change if it
 * is not available. */
int fc_isa_use(int isa);

#endif
