# Everything of C that the bindings use: csrc/fastfc.h, the operations of its kernel table, and the
# little that comes from elsewhere.

cimport numpy as cnp
from cpython.object cimport PyObject

cdef extern from "fastfc.h":
    ctypedef enum fc_type:
        FC_FLOAT32
        FC_FLOAT64
        FC_UINT8
    ctypedef struct fc_gather:
        const void *x
        fc_type type
        Py_ssize_t stride
        const cnp.int64_t *index
        const void *mean
        const void *std
    ctypedef struct fc_mt19937:
        unsigned int key[624]
        int pos
    int FC_NO_UPDATE
    int FC_SGD, FC_SGD_MOMENTUM, FC_SGD_NESTEROV_MOMENTUM, FC_RMSPROP, FC_ADAM, FC_ADAMW
    int FC_RELU, FC_IDENTITY, FC_LOGISTIC, FC_TANH, FC_LEAKY_RELU, FC_SILU, FC_GELU
    ctypedef struct fc_param:
        size_t n
        const void *w
        void *dw
        const void *state[2]
        void *next_w
        void *next_state[2]
        double number[6]
    size_t fc_row_stride(size_t M, size_t size) nogil
    size_t fc_activation_mask_bytes(size_t N, size_t M) nogil
    ctypedef struct fc_layer:
        size_t D, M
        fc_param w, b, gamma, beta
        fc_param params[4]
        bint layernorm
        const void *running_mean
        const void *running_var
        double eps, momentum
        void *next_mean
        void *next_var
        void *spare_mean
        void *spare_var
        int activation
        size_t stride
        void *out
        void *x_normalized
        unsigned short *activation_mask
        void *slope
        void *rstd
        unsigned char *keep
        cnp.uint64_t key
        bint w_is_finite
    ctypedef enum fc_loss_kind:
        FC_SOFTMAX_LOSS
        FC_SVM_LOSS
        FC_LOGISTIC_LOSS
        FC_SQUARED_ERROR_LOSS
        FC_ABSOLUTE_ERROR_LOSS
        FC_HUBER_LOSS
        FC_QUANTILE_LOSS
        FC_POISSON_LOSS
    ctypedef struct fc_loss:
        fc_loss_kind kind
        double number
        const cnp.int64_t *labels
        const void *targets
        const double *weights
        double total
    int FC_STATISTICS, FC_SUMS, FC_LOSS
    ctypedef struct fc_share:
        size_t first
        bint statistics
        void *context
        void (*exchange)(void *context, int what, const fc_layer *layer, double *numbers) noexcept
        double *numbers
    ctypedef struct fc_network:
        size_t N, count
        fc_layer *layers
        double p
        bint drop
        fc_mt19937 *state
        const fc_gather *rows
        void *input
        void *dout[2]
        void *workspace
        fc_loss loss
        const fc_share *share
        double reg
        bint philox
        bint takes_nonfinite
        int rule
        double clip_norm
        fc_param **params
        size_t params_count
    ctypedef struct fc_labels:
        const void *y
        Py_ssize_t stride
        int bytes
        bint is_signed
    ctypedef struct fc_steps:
        size_t most
        cnp.int64_t nanoseconds
        double *loss
        cnp.uint32_t examples
        const cnp.int64_t *order
        const cnp.int64_t *start
        fc_mt19937 *state
        cnp.int64_t *index
        fc_labels labels
        cnp.int64_t *y
        fc_gather targets
        void *target
        const double *weights
        double *weight
        bint draws_keys
        const double *base
        const double *factor
        const double *epsilon
        const double *alpha
        cnp.int64_t *time
    ctypedef struct fc_predictor:
        size_t count
        fc_layer *layers
        size_t widest, work
    size_t fc_padded(size_t M, size_t size) nogil
    size_t fc_predict_bytes(const fc_predictor *net, size_t N, size_t size) nogil
    const size_t FC_WORKSPACE_BYTES, FC_SCORES_ROWS
    const float FC_LEAST_RSTD_F32
    const double FC_LEAST_RSTD_F64
    ctypedef struct fc_watch:
        bint asked, finishing
    cnp.int64_t fc_look_nanoseconds
    void fc_begin_watch(fc_watch *watch, int (*look)(fc_watch *watch) noexcept) nogil
    void fc_end_watch(fc_watch *watch) nogil
    int fc_isa_count() nogil
    const char *fc_isa_name(int isa) nogil
    bint fc_isa_available(int isa) nogil
    int fc_isa_use(int isa) nogil
    const int FC_MAX_THREADS
    void fc_set_threads(int threads) nogil
    int fc_get_threads() nogil
    int fc_set_own_threads(int threads) nogil
    const int FC_CACHE_LEVELS
    void fc_set_l2_bytes(size_t bytes) nogil
    size_t fc_get_l2_bytes() nogil
    void fc_detect_caches(size_t *bytes) nogil

cdef extern from "<stdatomic.h>":
    pass

cdef extern from "runtime/fp_mode.h":
    const unsigned long FC_FLUSH_BITS

# The operations, as csrc/table.h declares them and each one's own file describes them, with the
# dtype before their arguments.  FC_CALL calls the one of the table in use for that dtype, with
# denormals taken for zero if that was asked for; void pointers become the table's types.
cdef extern from *:
    """
    static _Atomic(int) fc_flush_denormal;
    #define FC_OF(dtype, operation, ...) \
        ((dtype) == NPY_FLOAT64 ? fc_f64->operation(__VA_ARGS__) \
                                : fc_f32->operation(__VA_ARGS__))
    #define FC_CALL(dtype, ...) FC_FLUSHED(fc_flush_denormal, FC_OF(dtype, __VA_ARGS__))
    #define call_product(dtype, ...) FC_CALL(dtype, product, __VA_ARGS__)
    #define call_affine_forward(dtype, ...) FC_CALL(dtype, affine_forward, __VA_ARGS__)
    #define call_affine_backward(dtype, ...) FC_CALL(dtype, affine_backward, __VA_ARGS__)
    #define call_gather(dtype, ...) FC_CALL(dtype, gather, __VA_ARGS__)
    #define call_all_finite(dtype, ...) FC_OF(dtype, all_finite, __VA_ARGS__)
    #define call_relu_forward(dtype, ...) FC_CALL(dtype, relu_forward, __VA_ARGS__)
    #define call_relu_backward(dtype, ...) FC_CALL(dtype, relu_backward, __VA_ARGS__)
    #define call_activation_forward(dtype, ...) FC_CALL(dtype, activation_forward, __VA_ARGS__)
    #define call_activation_backward(dtype, ...) FC_CALL(dtype, activation_backward, __VA_ARGS__)
    #define call_batchnorm_forward(dtype, ...) FC_CALL(dtype, batchnorm_forward, __VA_ARGS__)
    #define call_batchnorm_inference(dtype, ...) FC_CALL(dtype, batchnorm_inference, __VA_ARGS__)
    #define call_batchnorm_backward(dtype, ...) FC_CALL(dtype, batchnorm_backward, __VA_ARGS__)
    #define call_layernorm_forward(dtype, ...) FC_CALL(dtype, layernorm_forward, __VA_ARGS__)
    #define call_layernorm_backward(dtype, ...) FC_CALL(dtype, layernorm_backward, __VA_ARGS__)
    #define call_dropout_forward(dtype, ...) FC_CALL(dtype, dropout_forward, __VA_ARGS__)
    #define call_dropout_philox(dtype, ...) FC_CALL(dtype, dropout_philox, __VA_ARGS__)
    #define call_dropout_apply(dtype, ...) FC_CALL(dtype, dropout_apply, __VA_ARGS__)
    #define call_data_loss(dtype, value, ...) \
        FC_FLUSHED(fc_flush_denormal, *(value) = FC_OF(dtype, data_loss, __VA_ARGS__))
    #define call_mt19937_keep(dtype, ...) FC_CALL(dtype, mt19937_keep, __VA_ARGS__)
    #define call_mt19937_skip(dtype, ...) FC_CALL(dtype, mt19937_skip, __VA_ARGS__)
    #define call_sum_of_squares(dtype, sum, ...) \
        FC_FLUSHED(fc_flush_denormal, *(sum) = FC_OF(dtype, sum_of_squares, __VA_ARGS__))
    #define call_update(dtype, ...) FC_CALL(dtype, update, __VA_ARGS__)
    #define call_network_steps(dtype, taken, ...) \
        FC_FLUSHED(fc_flush_denormal, *(taken) = FC_OF(dtype, network_steps, __VA_ARGS__))
    #define call_network_scores(dtype, ...) FC_CALL(dtype, network_scores, __VA_ARGS__)
    #define call_peak(dtype, ...) FC_OF(dtype, peak, __VA_ARGS__)

    /* What is packed for a table is read by that table, whichever is in use by then. */
    #define fc_table(dtype) ((dtype) == NPY_FLOAT64 ? (const void *)fc_f64 : (const void *)fc_f32)
    #define FC_OF_TABLE(table, dtype, operation, ...) \
        ((dtype) == NPY_FLOAT64 ? ((const fc_kernels_f64 *)(table))->operation(__VA_ARGS__) \
                                : ((const fc_kernels_f32 *)(table))->operation(__VA_ARGS__))
    #define call_copy_weights(table, dtype, ...) \
        FC_OF_TABLE(table, dtype, copy_weights, __VA_ARGS__)
    #define call_predict(table, dtype, ...) \
        FC_FLUSHED(fc_flush_denormal, FC_OF_TABLE(table, dtype, predict, __VA_ARGS__))
    """
    int fc_flush_denormal
    void call_product(int dtype, void *c, void *a, bint a_by_columns, void *b, bint b_by_columns,
                      size_t m, size_t n, size_t k, void *workspace) nogil
    void call_affine_forward(int dtype, void *out, void *x, void *w, void *b, size_t N, size_t D,
                             size_t M, void *workspace) nogil
    void call_affine_backward(int dtype, void *dx, void *dw, void *db, void *dout, void *x, void *w,
                              size_t N, size_t D, size_t M, void *workspace) nogil
    void call_gather(int dtype, void *out, const fc_gather *rows, size_t N, size_t D) nogil
    bint call_all_finite(int dtype, const void *x, size_t n) nogil
    void call_relu_forward(int dtype, void *out, void *x, size_t n) nogil
    void call_relu_backward(int dtype, void *dx, void *dout, void *x, size_t n) nogil
    void call_activation_forward(int dtype, void *out, void *x, int activation, size_t n) nogil
    void call_activation_backward(int dtype, void *dx, void *dout, void *cache, int activation,
                                  size_t n) nogil
    void call_batchnorm_forward(int dtype, void *out, void *x_normalized, void *rstd,
                                void *next_mean, void *next_var, void *x, void *gamma, void *beta,
                                void *running_mean, void *running_var, double eps, double momentum,
                                size_t N, size_t D) nogil
    void call_batchnorm_inference(int dtype, void *out, void *x, void *gamma, void *beta,
                                  void *running_mean, void *running_var, double eps, size_t N,
                                  size_t D) nogil
    void call_batchnorm_backward(int dtype, void *dx, void *dgamma, void *dbeta, void *dout,
                                 void *x_normalized, void *rstd, void *gamma, size_t N,
                                 size_t D) nogil
    void call_layernorm_forward(int dtype, void *out, void *x_normalized, void *rstd, void *x,
                                void *gamma, void *beta, double eps, size_t N, size_t D) nogil
    void call_layernorm_backward(int dtype, void *dx, void *dgamma, void *dbeta, void *dout,
                                 void *x_normalized, void *rstd, void *gamma, size_t N, size_t D,
                                 void *workspace) nogil
    void call_dropout_forward(int dtype, void *out, void *mask, fc_mt19937 *state, void *x,
                              double p, bint drop, size_t n) nogil
    void call_dropout_philox(int dtype, void *out, void *mask, void *x, cnp.uint64_t key,
                             cnp.uint64_t first, double p, bint drop, size_t n) nogil
    void call_dropout_apply(int dtype, void *out, void *x, void *mask, size_t n) nogil
    void call_data_loss(int dtype, double *value, void *dx, void *x, const fc_loss *loss, size_t N,
                        size_t C) nogil
    void call_mt19937_keep(int dtype, unsigned char *keep, fc_mt19937 *state, double p, bint drop,
                           size_t n) nogil
    void call_mt19937_skip(int dtype, fc_mt19937 *state, cnp.uint64_t n) nogil
    void call_sum_of_squares(int dtype, double *sum, void *x, size_t n) nogil
    void call_update(int dtype, fc_param **params, int rule, double clip_norm,
                     size_t count) nogil
    void call_network_steps(int dtype, size_t *taken, const fc_steps *steps, const fc_network *net,
                            const void *x) nogil
    void call_network_scores(int dtype, void *scores, const fc_network *net, const void *x) nogil
    double call_peak(int dtype, size_t tasks, size_t rounds) nogil
    const void *fc_table(int dtype) nogil
    int call_copy_weights(const void *table, int dtype, void *packed, void *w, size_t D, size_t M,
                          bint unpack) nogil
    void call_predict(const void *table, int dtype, void *scores, const fc_predictor *net,
                      const void *x, size_t N, void *memory) nogil

cdef extern from *:
    """
    /* Whether only a dictionary and one local variable hold the array, and it owns its memory:
     * then nobody can tell an update in place from a new array. */
    static int fc_is_ours(PyObject *array) {
        PyArrayObject *a = (PyArrayObject *)array;
    #ifdef Py_GIL_DISABLED /* another thread may be about to take a reference */
        return 0;
    #endif
        return Py_REFCNT(array) <= 2 && PyArray_BASE(a) == NULL
               && PyArray_CHKFLAGS(a, NPY_ARRAY_OWNDATA) && PyArray_ISWRITEABLE(a);
    }
    """
    bint fc_is_ours(PyObject *array)
    const char *FASTFC_COMPILER  # name and version, from CMake

cdef extern from *:
    unsigned long PyThread_get_thread_ident() nogil
    int PyErr_CheckSignals()  # without what Cython's own declaration does: it is asked for
    void PyErr_Fetch(PyObject **type, PyObject **value, PyObject **traceback)
    void PyErr_Restore(PyObject *type, PyObject *value, PyObject *traceback)

cdef extern from "runtime/memory.h":
    void *fc_allocate(size_t bytes) nogil
    void fc_free(void *memory) nogil

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void *state
        cnp.uint64_t (*next_uint64)(void *state) nogil
        cnp.uint32_t (*next_uint32)(void *state) nogil
        double (*next_double)(void *state) nogil
