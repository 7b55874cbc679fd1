# Losses of scores (N, C) with labels (N,), and their gradients.

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


cdef object as_loss(double loss, int dtype):
    return np.float32(loss) if dtype == F32 else np.float64(loss)


cdef object loss_and_gradient(str function, object x, object y, bint softmax, double smoothing):
    cdef int dtype
    cdef double loss = 0
    cdef Watch watch
    cdef ndarray given = as_integers(function, "y", y, "integer labels"), labels = None, xa
    cdef list arrays = [x]
    read_operands(function, ("x",), arrays, 1, &dtype)
    cdef cnp.npy_intp N, C
    while True:
        xa = arrays[0]
        require_matrix(function, "x", xa, "(N, C)")
        N, C = xa.shape[0], xa.shape[1]
        if N == 0 or C == 0:
            raise shape_error(function, "x", xa, "(N, C) with N >= 1 and C >= 1")
        require_label_count(function, given if labels is None else labels, N, C)
        if labels is None:
            labels = copy_integers(function, "y", given, "integer labels")
        elif settled(arrays, dtype):
            break
    require_labels(function, labels, y, N, C)
    cdef ndarray dx = fresh_like(xa, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef const cnp.int64_t *py = <const cnp.int64_t *> cnp.PyArray_DATA(labels)
    begin_watch(&watch, <double> N * C)
    with nogil:
        if softmax:
            call_softmax_loss(dtype, &loss, pdx, px, py, smoothing, N, C)
        else:
            call_svm_loss(dtype, &loss, pdx, px, py, N, C)
    end_watch(&watch)
    raise_noted(&watch)
    return as_loss(loss, dtype), dx


def softmax_loss(x, y, label_smoothing=0.0):
    cdef double smoothing = as_number("softmax_loss", "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"softmax_loss: label_smoothing is {shown(label_smoothing)}, "
                         "expected a number in [0, 1]")
    return loss_and_gradient("softmax_loss", x, y, True, smoothing)


def svm_loss(x, y):
    return loss_and_gradient("svm_loss", x, y, False, 0)
