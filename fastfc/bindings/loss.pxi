# Losses of scores (N, C) with labels (N,), and their gradients.

cdef object as_loss(double loss, int dtype):
    return np.float32(loss) if dtype == F32 else np.float64(loss)


cdef object loss_and_gradient(str function, object x, object y, bint softmax, double smoothing):
    cdef int dtype
    cdef double loss = 0
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
    with nogil:
        if softmax:
            call_softmax_loss(dtype, &loss, pdx, px, py, smoothing, N, C)
        else:
            call_svm_loss(dtype, &loss, pdx, px, py, N, C)
    return as_loss(loss, dtype), dx


def softmax_loss(x, y, label_smoothing=0.0):
    cdef double smoothing = as_number("softmax_loss", "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"softmax_loss: label_smoothing is {shown(label_smoothing)}, "
                         "expected a number in [0, 1]")
    return loss_and_gradient("softmax_loss", x, y, True, smoothing)


def svm_loss(x, y):
    return loss_and_gradient("svm_loss", x, y, False, 0)
