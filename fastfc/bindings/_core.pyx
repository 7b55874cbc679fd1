# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: embedsignature=True
"""The only door between Python and the C core.

Each function here has the signature of its namesake in ``fastfc.layers`` or the update rule in
``fastfc.optim``.  It checks all that C relies on, makes the outputs, releases the GIL and calls one
kernel of the table in use.  Nothing that the caller holds is changed before that call succeeds.
"""
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport PTRDIFF_MAX
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import operator
import os

import numpy as np

cnp.import_array()

include "_kernels.pxi"
include "_checks.pxi"
include "_random.pxi"
include "_optim.pxi"
include "_gather.pxi"
include "_normalization.pxi"


# Scratch memory is kept between calls: one block, taken and given back under the GIL.  A call that
# finds it taken (another thread is inside a kernel) makes one of its own.
cdef void *spare_workspace = NULL


cdef void *acquire_workspace() except NULL:
    global spare_workspace
    cdef void *workspace = spare_workspace
    spare_workspace = NULL
    if workspace == NULL:
        workspace = aligned_alloc(64, FC_WORKSPACE_BYTES)
        if workspace == NULL:
            raise MemoryError
    return workspace


cdef void release_workspace(void *workspace) noexcept:
    global spare_workspace
    if spare_workspace == NULL:
        spare_workspace = workspace
    else:
        free(workspace)


cdef ndarray batch(str function, ndarray x):
    if x.ndim == 0:
        raise shape_error(function, "x", x, "(N, d_1, ..., d_k)")
    return x


def affine_forward(x, w, b):
    cdef int dtype = 0
    cdef ndarray xa = batch("affine_forward", operand("affine_forward", "x", x, &dtype))
    cdef ndarray wa = operand("affine_forward", "w", w, &dtype)
    cdef ndarray ba = operand("affine_forward", "b", b, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = features("affine_forward", xa)
    if wa.ndim != 2 or wa.shape[0] != D:
        raise shape_error("affine_forward", "w", wa,
                          f"({D}, M) to match x of shape {(<object>xa).shape}")
    cdef cnp.npy_intp M = wa.shape[1]
    ba = vector("affine_forward", "b", ba, M, settled(&dtype), "w", wa)
    xa = dense(xa, dtype)
    wa = dense(wa, dtype)
    cdef ndarray out = fresh(2, [N, M], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_affine_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(xa),
                            cnp.PyArray_DATA(wa), cnp.PyArray_DATA(ba), N, D, M, workspace)
    release_workspace(workspace)
    return out, (x, w, b)


def affine_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 3:
        raise ValueError("affine_backward: cache is not the (x, w, b) that affine_forward returns")
    cdef int dtype = 0
    cdef ndarray g = operand("affine_backward", "dout", dout, &dtype)
    cdef ndarray x = batch("affine_backward", operand("affine_backward", "x", cache[0], &dtype))
    cdef ndarray w = operand("affine_backward", "w", cache[1], &dtype)
    cdef cnp.npy_intp N = x.shape[0], D = features("affine_backward", x)
    if w.ndim != 2 or w.shape[0] != D:
        raise shape_error("affine_backward", "w", w,
                          f"({D}, M) to match x of shape {(<object>x).shape}")
    cdef cnp.npy_intp M = w.shape[1]
    if g.ndim != 2 or g.shape[0] != N or g.shape[1] != M:
        raise shape_error("affine_backward", "dout", g,
                          f"({N}, {M}), the shape of affine_forward's output")
    g = dense(g, settled(&dtype))
    x = dense(x, dtype)
    w = dense(w, dtype)
    cdef ndarray dx = fresh_like(x, dtype)
    cdef ndarray dw = fresh_like(w, dtype)
    cdef ndarray db = fresh(1, [M], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_affine_backward(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(dw),
                             cnp.PyArray_DATA(db), cnp.PyArray_DATA(g), cnp.PyArray_DATA(x),
                             cnp.PyArray_DATA(w), N, D, M, workspace)
    release_workspace(workspace)
    return dx, dw, db


# An array that rows or columns make dense, so that the product can read it as it lies.
cdef ndarray factor(ndarray array, int dtype):
    if array.ndim == 2 and cnp.PyArray_TYPE(array) == dtype:
        if cnp.PyArray_IS_F_CONTIGUOUS(array) and cnp.PyArray_ISALIGNED(array):
            return array
    return dense(array, dtype)


def product(a, b):
    """The matrix product of a (m, k) and b (k, n), as the affine layers take it: for benchmarks."""
    cdef int dtype = 0
    cdef ndarray left = matrix("product", "a", operand("product", "a", a, &dtype), "(m, k)")
    cdef ndarray right = matrix("product", "b", operand("product", "b", b, &dtype), "(k, n)")
    cdef cnp.npy_intp m = left.shape[0], k = left.shape[1], n = right.shape[1]
    if right.shape[0] != k:
        raise shape_error("product", "b", right, f"({k}, n) to match a of shape ({m}, {k})")
    left = factor(left, settled(&dtype))
    right = factor(right, dtype)
    cdef bint left_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(left)
    cdef bint right_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(right)
    cdef ndarray out = fresh(2, [m, n], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_product(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(left), left_by_columns,
                     cnp.PyArray_DATA(right), right_by_columns, m, n, k, workspace)
    release_workspace(workspace)
    return out


def peak(dtype, size_t tasks, size_t rounds):
    """Do nothing but arithmetic of one dtype, on the threads in use, in so many tasks of so many
    rounds; return how many operations that were: for benchmarks."""
    cdef int number = np.dtype(dtype).num
    if number != F32 and number != F64:
        raise TypeError(f"peak: dtype is {dtype}, expected float32 or float64")
    cdef double operations
    with nogil:
        operations = call_peak(number, tasks, rounds)
    return operations


def relu_forward(x):
    cdef int dtype = 0
    cdef ndarray xa = operand("relu_forward", "x", x, &dtype)
    xa = dense(xa, settled(&dtype))
    cdef ndarray out = fresh_like(xa, dtype)
    with nogil:
        call_relu_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(xa),
                          cnp.PyArray_SIZE(xa))
    return out, x


def relu_backward(dout, cache):
    cdef int dtype = 0
    cdef ndarray g = operand("relu_backward", "dout", dout, &dtype)
    cdef ndarray x = operand("relu_backward", "cache", cache, &dtype)
    if not same_shape(g, x):
        raise shape_error("relu_backward", "dout", g,
                          f"{(<object>x).shape}, the shape of relu_forward's x")
    g = dense(g, settled(&dtype))
    x = dense(x, dtype)
    cdef ndarray dx = fresh_like(x, dtype)
    with nogil:
        call_relu_backward(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(g), cnp.PyArray_DATA(x),
                           cnp.PyArray_SIZE(x))
    return dx


cdef object dropout_mode(str function, object dropout_param):
    mode = param(function, "dropout_param", dropout_param, "mode")
    if mode != "train" and mode != "test":
        raise ValueError(f"{function}: dropout_param['mode'] is {mode!r}, "
                         "expected 'train' or 'test'")
    return mode


cdef object dropout_rng(object dropout_param):
    rng = (<dict> dropout_param).get("rng", "numpy")
    if rng != "numpy" and rng != "philox":
        raise ValueError(f"dropout_forward: dropout_param['rng'] is {rng!r}, "
                         "expected 'numpy' or 'philox'")
    return rng


# Whether p is the probability of dropping a unit, instead of keeping one.
cdef bint dropout_drops(object dropout_param) except -1:
    convention = dropout_param.get("convention", "keep")
    if convention != "keep" and convention != "drop":
        raise ValueError(f"dropout_forward: dropout_param['convention'] is {convention!r}, "
                         "expected 'keep' or 'drop'")
    return convention == "drop"


# The key of Philox's stream: the seed, or when there is none, if drawn, 64 bits of np.random.
cdef object philox_key(object dropout_param, bint drawn):
    if "seed" not in dropout_param:
        return np.random.randint(2**64, dtype=np.uint64) if drawn else 0
    key = operator.index(dropout_param["seed"])
    if not 0 <= key < 2**64:
        raise ValueError(f"dropout_forward: dropout_param['seed'] is {key}, "
                         "expected an integer in [0, 2**64)")
    return key


def dropout_forward(x, dropout_param):
    mode = dropout_mode("dropout_forward", dropout_param)
    cdef double p = number("dropout_forward", "dropout_param['p']",
                           param("dropout_forward", "dropout_param", dropout_param, "p"))
    cdef bint drop = dropout_drops(dropout_param)
    if not (0 <= p < 1 if drop else 0 < p <= 1):
        raise ValueError(f"dropout_forward: dropout_param['p'] is {p}, expected the probability of "
                         f"{'dropping a unit, in [0, 1)' if drop else 'keeping a unit, in (0, 1]'}")
    cdef int dtype = 0
    cdef ndarray xa = operand("dropout_forward", "x", x, &dtype)
    xa = dense(xa, settled(&dtype))
    cdef bint philox = dropout_rng(dropout_param) == "philox"
    cdef cnp.uint64_t key = 0
    if philox:
        key = philox_key(dropout_param, mode == "train")
    elif "seed" in <dict> dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode == "test":
        return xa, (dropout_param, None)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray mask = fresh_like(xa, dtype)
    if philox:
        with nogil:
            call_dropout_philox(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(mask),
                                cnp.PyArray_DATA(xa), key, p, drop, cnp.PyArray_SIZE(xa))
    else:
        draw_dropout(out, mask, xa, p, drop, dtype)
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 2:
        raise ValueError("dropout_backward: cache is not the (dropout_param, mask) that "
                         "dropout_forward returns")
    mode = dropout_mode("dropout_backward", cache[0])
    cdef int dtype = 0
    cdef ndarray g = operand("dropout_backward", "dout", dout, &dtype)
    if mode == "test":
        return dense(g, settled(&dtype))
    if cache[1] is None:
        raise ValueError("dropout_backward: cache has no mask, but its dropout_param['mode'] is "
                         "'train': was it made in test mode?")
    cdef ndarray mask = operand("dropout_backward", "mask", cache[1], &dtype)
    if not same_shape(g, mask):
        raise shape_error("dropout_backward", "dout", g,
                          f"{(<object>mask).shape}, the shape of the mask")
    g = dense(g, settled(&dtype))
    mask = dense(mask, dtype)
    cdef ndarray dx = fresh_like(g, dtype)
    with nogil:
        call_dropout_apply(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(g),
                           cnp.PyArray_DATA(mask), cnp.PyArray_SIZE(g))
    return dx


cdef object loss_scalar(double loss, int dtype):
    return np.float32(loss) if dtype == F32 else np.float64(loss)


cdef object loss_and_gradient(str function, object x, object y, bint softmax, double smoothing):
    cdef int dtype = 0
    cdef double loss = 0
    cdef ndarray xa = scores(function, x, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], C = xa.shape[1]
    cdef ndarray ya = labels(function, y, N, C)
    cdef ndarray dx = fresh_like(xa, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef const cnp.int64_t *py = <const cnp.int64_t *> cnp.PyArray_DATA(ya)
    with nogil:
        if softmax:
            call_softmax_loss(dtype, &loss, pdx, px, py, smoothing, N, C)
        else:
            call_svm_loss(dtype, &loss, pdx, px, py, N, C)
    return loss_scalar(loss, dtype), dx


def softmax_loss(x, y, label_smoothing=0.0):
    cdef double smoothing = number("softmax_loss", "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"softmax_loss: label_smoothing is {label_smoothing}, "
                         "expected a number in [0, 1]")
    return loss_and_gradient("softmax_loss", x, y, True, smoothing)


def svm_loss(x, y):
    return loss_and_gradient("svm_loss", x, y, False, 0)


include "_updates.pxi"
include "_network.pxi"

cdef int isa_in_use = -1


def built_isas():
    """Names of the instruction sets that the core was compiled for, slowest first."""
    return tuple(fc_isa_name(i).decode() for i in range(fc_isa_count()))


def available_isas():
    """Names of those that this machine can run."""
    return tuple(fc_isa_name(i).decode() for i in range(fc_isa_count()) if fc_isa_available(i))


def isa():
    """Name of the one in use."""
    return fc_isa_name(isa_in_use).decode()


def use_isa(str name):
    """Use another instruction set from now on, in the whole process."""
    global isa_in_use
    cdef int i
    for i in range(fc_isa_count()):
        if fc_isa_name(i).decode() == name and fc_isa_use(i) == 0:
            isa_in_use = i
            return
    raise ValueError(f"this machine has no instruction set {name!r}, "
                     f"expected one of {', '.join(available_isas())}")


MAX_THREADS = FC_MAX_THREADS


def set_num_threads(int n):
    fc_set_threads(n)


def get_num_threads():
    return fc_get_threads()


def set_flush_denormal(bint flush):
    """Take denormals for zero from now on; return whether this machine can."""
    global fc_flush_denormal
    fc_flush_denormal = flush and FC_FLUSH_BITS != 0
    return FC_FLUSH_BITS != 0


def get_flush_denormal():
    return fc_flush_denormal != 0


def compiler():
    """Name and version of the C compiler that built the core."""
    return FASTFC_COMPILER.decode()


def _choose_isa():
    forced = os.environ.get("FASTFC_ISA")
    try:
        use_isa(forced or max(available_isas(), key=built_isas().index))
    except ValueError as error:
        raise ImportError(f"FASTFC_ISA: {error}") from None


_choose_isa()
