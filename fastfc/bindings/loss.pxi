# Losses of scores (N, C) with labels (N,), and their gradients.

cdef object as_loss(double loss, int dtype):
    return np.float32(loss) if dtype == F32 else np.float64(loss)


cdef object loss_and_gradient(str function, object x, object y, bint softmax, double smoothing):
    cdef int dtype = 0
    cdef double loss = 0
    cdef ndarray xa = as_scores(function, x, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], C = xa.shape[1]
    cdef ndarray ya = as_labels(function, y, N, C)
    cdef ndarray dx = fresh_like(xa, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef const cnp.int64_t *py = <const cnp.int64_t *> cnp.PyArray_DATA(ya)
    with nogil:
        if softmax:
            call_softmax_loss(dtype, &loss, pdx, px, py, smoothing, N, C)
        else:
            call_svm_loss(dtype, &loss, pdx, px, py, N, C)
    return as_loss(loss, dtype), dx


def softmax_loss(x, y, label_smoothing=0.0):
    cdef double smoothing = as_number("softmax_loss", "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"softmax_loss: label_smoothing is {label_smoothing}, "
                         "expected a number in [0, 1]")
    return loss_and_gradient("softmax_loss", x, y, True, smoothing)


def svm_loss(x, y):
    return loss_and_gradient("svm_loss", x, y, False, 0)
