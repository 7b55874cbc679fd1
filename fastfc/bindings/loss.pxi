# Losses of scores (N, C) with labels (N,) or targets (N, C), and their gradients.

cdef dict LOSSES_IN_C = {
    "softmax": FC_SOFTMAX_LOSS,
    "svm": FC_SVM_LOSS,
    "logistic": FC_LOGISTIC_LOSS,
    "squared_error": FC_SQUARED_ERROR_LOSS,
    "absolute_error": FC_ABSOLUTE_ERROR_LOSS,
    "huber": FC_HUBER_LOSS,
    "quantile": FC_QUANTILE_LOSS,
    "poisson": FC_POISSON_LOSS,
}


# Whether a loss is of labels, not of targets.
cdef bint is_labelled(int kind) noexcept:
    return kind == FC_SOFTMAX_LOSS or kind == FC_SVM_LOSS

# The integer that stood at i, of which a copy holds `number`: what int64 cannot hold is not there.
cdef object integer_at(object given, Py_ssize_t i, cnp.int64_t number):
    if number == <Py_ssize_t> PTRDIFF_MAX:
        try:
            return np.asarray(given)[i]
        except Exception:  # it is another one now
            pass
    return number


# That labels are (N,), for scores (N, C).
cdef int require_label_count(str function, ndarray labels, cnp.npy_intp N,
                             cnp.npy_intp C) except -1:
    if labels.ndim != 1 or labels.shape[0] != N:
        raise shape_error(function, "y", labels, f"({N},) to match x of shape ({N}, {C})")
    return 0


# That labels, a copy of y, are (N,) and each in [0, C).
cdef int require_labels(str function, ndarray labels, object y, cnp.npy_intp N,
                        cnp.npy_intp C) except -1:
    cdef const cnp.int64_t *label = <const cnp.int64_t *> cnp.PyArray_DATA(labels)
    cdef cnp.npy_intp i
    require_label_count(function, labels, N, C)
    for i in range(N):
        if label[i] < 0 or label[i] >= C:
            raise ValueError(f"{function}: y[{i}] is {integer_at(y, i, label[i])}, "
                             f"expected a label from 0 to {C - 1}")
    return 0


# A copy of y, if it can be the labels of N examples.  Else what stands for it until its shape is
# checked, of one number: y may be larger than all memory.
cdef ndarray copy_labels(str function, object y, cnp.npy_intp N):
    cdef ndarray given = as_integers(function, "y", y, "integer labels")
    if given.ndim == 1 and given.shape[0] == N:
        return copy_integers(function, "y", given, "integer labels")
    return np.broadcast_to(np.zeros((), np.int64), (<object> given).shape)


# That targets fit scores (N, M): they are (N, M), or (N,) where M is 1.
cdef int require_target_shape(str function, ndarray y, cnp.npy_intp N, cnp.npy_intp M) except -1:
    if M == 1 and y.ndim == 1 and y.shape[0] == N:
        return 0
    if y.ndim != 2 or y.shape[0] != N or y.shape[1] != M:
        raise shape_error(function, "y", y,
                          f"{f'({N},) or ' if M == 1 else ''}({N}, {M}) to match x of shape "
                          f"({N}, {M})")
    return 0


# That targets, dense of dtype, are numbers that the loss is for.
cdef int require_targets(str function, int kind, ndarray y, int dtype) except -1:
    cdef const void *data = cnp.PyArray_DATA(y)
    cdef cnp.npy_intp i, size = cnp.PyArray_SIZE(y)
    cdef double value
    if kind != FC_LOGISTIC_LOSS and kind != FC_POISSON_LOSS:
        return 0
    for i in range(size):
        value = (<const float *> data)[i] if dtype == F32 else (<const double *> data)[i]
        if value >= 0 and (kind == FC_POISSON_LOSS or value <= 1):
            continue
        where = f"{i}" if y.ndim == 1 else f"{i // y.shape[1]}, {i % y.shape[1]}"
        expected = "of at least 0" if kind == FC_POISSON_LOSS else "from 0 to 1"
        raise ValueError(f"{function}: y[{where}] is {value:g}, expected a number {expected}")
    return 0


# A copy of y in dtype, if it can be the targets of N examples by M scores.  Else what stands for it
# until its shape is checked, as for labels.
cdef ndarray copy_targets(str function, object y, cnp.npy_intp N, cnp.npy_intp M, int dtype):
    cdef ndarray given = as_array(function, "y", y)
    require_real(function, "y", given)
    if given.ndim > 0 and given.shape[0] == N \
            and (given.ndim == 1 or given.ndim == 2 and given.shape[1] == M):
        return copy_reals(given, dtype)
    return np.broadcast_to(np.zeros((), given.dtype), (<object> given).shape)


# That weights are (N,), for N examples.
cdef int require_weight_count(str function, ndarray weights, cnp.npy_intp N) except -1:
    if weights.ndim != 1 or weights.shape[0] != N:
        raise shape_error(function, "sample_weight", weights, f"({N},), a weight of each example")
    return 0


# That weights, dense float64, are (N,), not negative, and have a sum to divide by, unless there
# are more of them elsewhere.
cdef int require_sample_weights(str function, ndarray weights, cnp.npy_intp N,
                                bint part=False) except -1:
    cdef const double *weight = <const double *> cnp.PyArray_DATA(weights)
    cdef double total = 0
    cdef cnp.npy_intp i
    require_weight_count(function, weights, N)
    for i in range(N):
        if not 0 <= weight[i] or not isfinite(weight[i]):
            raise ValueError(f"{function}: sample_weight[{i}] is {weight[i]:g}, expected a finite "
                             "number of at least 0")
        total += weight[i]
    if total == 0 and not part or not isfinite(total):
        raise ValueError(f"{function}: sample_weight has the sum {total:g}, expected a finite sum "
                         "above 0")
    return 0


cdef ndarray as_sample_weights(str function, object value):
    cdef ndarray weights = as_array(function, "sample_weight", value)
    require_real(function, "sample_weight", weights)
    return weights


# A copy of weights in float64, if they can be those of N examples; else what stands for them.  None
# for None.
cdef ndarray copy_sample_weights(str function, object value, cnp.npy_intp N):
    if value is None:
        return None
    cdef ndarray given = as_sample_weights(function, value)
    if given.ndim == 1 and given.shape[0] == N:
        return copy_reals(given, F64)
    return np.broadcast_to(np.zeros(()), (<object> given).shape)


cdef object as_loss(double loss, int dtype):
    return np.float32(loss) if dtype == F32 else np.float64(loss)


cdef object loss_and_gradient(str function, int kind, object x, object y, double number,
                              object sample_weight):
    cdef int dtype
    cdef double value = 0
    cdef fc_loss loss
    cdef Watch watch
    cdef bint labelled = is_labelled(kind), copied = False
    cdef list arrays = [x, None if labelled else as_array(function, "y", y)]
    cdef ndarray labels = None, weights = None, xa
    if labelled:
        labels = as_integers(function, "y", y, "integer labels")
    if sample_weight is not None:
        weights = as_sample_weights(function, sample_weight)
    read_operands(function, ("x", "y"), arrays, 1, &dtype)
    cdef cnp.npy_intp N, C
    while True:
        xa = arrays[0]
        require_matrix(function, "x", xa, "(N, C)")
        N, C = xa.shape[0], xa.shape[1]
        if N == 0 or C == 0:
            raise shape_error(function, "x", xa, "(N, C) with N >= 1 and C >= 1")
        if labelled:
            require_label_count(function, labels, N, C)
        else:
            require_target_shape(function, arrays[1], N, C)
        if weights is not None:
            require_weight_count(function, weights, N)
        if not copied:
            copied = True
            if labelled:
                labels = copy_integers(function, "y", labels, "integer labels")
            if weights is not None:
                weights = copy_reals(weights, F64)
        elif settled(arrays, dtype):
            break
    if labelled:
        require_labels(function, labels, y, N, C)
    else:
        require_targets(function, kind, arrays[1], dtype)
    if weights is not None:
        require_sample_weights(function, weights, N)
    cdef ndarray dx = fresh_like(xa, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *px = cnp.PyArray_DATA(xa)
    bind_loss(&loss, kind, number, labels if labelled else arrays[1], weights)
    begin_watch(&watch, <double> N * C)
    with nogil:
        call_data_loss(dtype, &value, pdx, px, &loss, N, C)
    end_watch(&watch)
    raise_noted(&watch)
    return as_loss(value, dtype), dx


# Describes a loss for the core; y are its labels or targets.
cdef void bind_loss(fc_loss *loss, int kind, double number, ndarray y, ndarray weights) noexcept:
    loss.kind, loss.number = <fc_loss_kind> kind, number
    loss.labels = <const cnp.int64_t *> cnp.PyArray_DATA(y) if is_labelled(kind) else NULL
    loss.targets = NULL if is_labelled(kind) else cnp.PyArray_DATA(y)
    loss.weights = NULL if weights is None else <double *> cnp.PyArray_DATA(weights)
    loss.total = 0


cdef double as_smoothing(str function, object label_smoothing) except? -1:
    cdef double smoothing = as_number(function, "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{function}: label_smoothing is {shown(label_smoothing)}, "
                         "expected a number in [0, 1]")
    return smoothing


def softmax_loss(x, y, label_smoothing=0.0, sample_weight=None):
    cdef double smoothing = as_smoothing("softmax_loss", label_smoothing)
    return loss_and_gradient("softmax_loss", FC_SOFTMAX_LOSS, x, y, smoothing, sample_weight)


def svm_loss(x, y, sample_weight=None):
    return loss_and_gradient("svm_loss", FC_SVM_LOSS, x, y, 0, sample_weight)


def logistic_loss(x, y, label_smoothing=0.0, sample_weight=None):
    cdef double smoothing = as_smoothing("logistic_loss", label_smoothing)
    return loss_and_gradient("logistic_loss", FC_LOGISTIC_LOSS, x, y, smoothing, sample_weight)


def squared_error_loss(x, y, sample_weight=None):
    return loss_and_gradient("squared_error_loss", FC_SQUARED_ERROR_LOSS, x, y, 0, sample_weight)


def absolute_error_loss(x, y, sample_weight=None):
    return loss_and_gradient("absolute_error_loss", FC_ABSOLUTE_ERROR_LOSS, x, y, 0, sample_weight)


def huber_loss(x, y, delta=1.0, sample_weight=None):
    cdef double point = as_number("huber_loss", "delta", delta)
    if not 0 < point or not isfinite(point):
        raise ValueError(f"huber_loss: delta is {shown(delta)}, expected a finite number above 0")
    return loss_and_gradient("huber_loss", FC_HUBER_LOSS, x, y, point, sample_weight)


def quantile_loss(x, y, level=0.5, sample_weight=None):
    cdef double share = as_number("quantile_loss", "level", level)
    if not 0 < share < 1:
        raise ValueError(f"quantile_loss: level is {shown(level)}, expected a number in (0, 1)")
    return loss_and_gradient("quantile_loss", FC_QUANTILE_LOSS, x, y, share, sample_weight)


def poisson_loss(x, y, sample_weight=None):
    return loss_and_gradient("poisson_loss", FC_POISSON_LOSS, x, y, 0, sample_weight)
