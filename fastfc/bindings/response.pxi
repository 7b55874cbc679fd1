# What an estimator returns for examples: a predictor's scores, and the output activation over them.
#
# A row takes no more than the call of its predictor and a few hundred nanoseconds: what is asked of
# examples elsewhere, in Python, is asked here in C, and anything but a few plain rows is left to
# Python.  The same loops serve many rows, so that an example has the same bits in any batch.

cdef enum:
    IDENTITY, LOGISTIC, SOFTMAX, EXP
    # Numbers of which a response looks at each for infinities: more are left to NumPy's loops.
    FEW_NUMBERS = 1 << 14

cdef tuple OUTPUTS = ("identity", "logistic", "softmax", "exp")


cdef int find_output(str output) except -1:
    if output not in OUTPUTS:
        raise ValueError(f"output is {output!r}, expected one of {', '.join(OUTPUTS)}")
    return OUTPUTS.index(output)


# 1 / (1 + exp(-x)), by an exponential that does not overflow.
cdef inline double logistic_of(double x) noexcept nogil:
    cdef double e = exp(-fabs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


# The softmax of a row, in place.
cdef void softmax_row(floating *row, size_t C) noexcept nogil:
    cdef double greatest = row[0], total = 0
    cdef size_t i
    for i in range(1, C):
        if row[i] > greatest or row[i] != row[i]:
            greatest = row[i]
    for i in range(C):
        total += exp(row[i] - greatest)
    for i in range(C):
        row[i] = <floating> (exp(row[i] - greatest) / total)


# The outputs (N, C) of scores, in place.
cdef void apply_output(floating *scores, int output, size_t N, size_t C) noexcept nogil:
    cdef size_t i
    if output == SOFTMAX:
        for i in range(N):
            softmax_row(scores + i * C, C)
    elif output == LOGISTIC:
        for i in range(N * C):
            scores[i] = <floating> logistic_of(scores[i])
    elif output == EXP:
        for i in range(N * C):
            scores[i] = <floating> exp(scores[i])


# The probabilities (N, 2) of two classes, of the logistic scores (N, 1) of the second.
cdef void spread_pairs(floating *pairs, const floating *scores, size_t N) noexcept nogil:
    cdef size_t i
    for i in range(N):
        pairs[2 * i] = 1 - scores[i]
        pairs[2 * i + 1] = scores[i]


cdef object outputs_of(ndarray scores, int output):
    cdef size_t N = scores.shape[0], C = scores.shape[1]
    cdef int dtype = cnp.PyArray_TYPE(scores)
    cdef cnp.npy_intp shape[2]
    cdef void *p = cnp.PyArray_DATA(scores)
    cdef void *pairs
    cdef ndarray spread
    if N * C < FEW_NUMBERS:
        if dtype == F32:
            apply_output(<float *> p, output, N, C)
        else:
            apply_output(<double *> p, output, N, C)
    else:
        with nogil:
            if dtype == F32:
                apply_output(<float *> p, output, N, C)
            else:
                apply_output(<double *> p, output, N, C)
    if output != LOGISTIC or C != 1:
        return scores
    shape[0], shape[1] = N, 2
    spread = fresh(2, shape, dtype)
    pairs = cnp.PyArray_DATA(spread)
    if dtype == F32:
        spread_pairs(<float *> pairs, <const float *> p, N)
    else:
        spread_pairs(<double *> pairs, <const double *> p, N)
    return spread


def respond(ndarray scores, str output):
    """What an estimator returns of scores (N, C), which are used up: of one logistic score the
    probabilities of two classes, else as many outputs as scores."""
    if scores.ndim != 2 or not (is_dense(scores, F32) or is_dense(scores, F64)) \
            or not cnp.PyArray_ISWRITEABLE(scores):
        raise ValueError("respond: scores is no C-contiguous float32 or float64 array (N, C)")
    return outputs_of(scores, find_output(output))


# Whether all of so many numbers are finite.
cdef bint all_finite(const floating *x, size_t n) noexcept nogil:
    cdef floating total = 0
    cdef size_t i
    for i in range(n):
        total += x[i] * 0
    return total == 0


@cython.final
cdef class Response:
    """Response(predictor, output)
    --

    response(X): what an estimator returns of a few examples; None unless X is an array (N, D) of
    finite numbers as the predictor takes them.
    """

    cdef Predictor predictor
    cdef int output

    def __cinit__(self, Predictor predictor not None, str output):
        self.predictor = predictor
        self.output = find_output(output)

    def __call__(self, X):
        cdef ndarray x
        cdef size_t n
        if not cnp.PyArray_CheckExact(X):
            return None
        x = X
        if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] != self.predictor.D \
                or not is_dense(x, self.predictor.type):
            return None
        n = cnp.PyArray_SIZE(x)
        if n > FEW_NUMBERS:
            return None
        if self.predictor.type == F32:
            if not all_finite(<const float *> cnp.PyArray_DATA(x), n):
                return None
        elif not all_finite(<const double *> cnp.PyArray_DATA(x), n):
            return None
        return outputs_of(self.predictor(x), self.output)
