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


# The probabilities (N, 2) of two classes, of scores (N,) of the second; each by an exponential of
# its own, so that the smaller one is as exact as the greater.
cdef void pair_up(floating *pairs, const floating *scores, size_t N) noexcept nogil:
    cdef size_t i
    for i in range(N):
        pairs[2 * i] = <floating> logistic_of(-scores[i])
        pairs[2 * i + 1] = <floating> logistic_of(scores[i])


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


# What becomes of scores (N, C), which are used up.
cdef ndarray outputs_of(ndarray scores, int output):
    cdef size_t N = scores.shape[0], C = scores.shape[1]
    cdef int dtype = cnp.PyArray_TYPE(scores)
    cdef bint paired = output == LOGISTIC and C == 1
    cdef ndarray out = fresh(2, [N, 2], dtype) if paired else scores
    cdef void *px = cnp.PyArray_DATA(scores)
    cdef void *po = cnp.PyArray_DATA(out)
    if N * C < FEW_NUMBERS:
        run_output(po, px, output, paired, N, C, dtype)
    else:
        with nogil:
            run_output(po, px, output, paired, N, C, dtype)
    return out


cdef void run_output(void *out, void *scores, int output, bint paired, size_t N, size_t C,
                     int dtype) noexcept nogil:
    if paired and dtype == F32:
        pair_up(<float *> out, <const float *> scores, N)
    elif paired:
        pair_up(<double *> out, <const double *> scores, N)
    elif dtype == F32:
        apply_output(<float *> scores, output, N, C)
    else:
        apply_output(<double *> scores, output, N, C)


def respond(ndarray scores, str output):
    """What an estimator returns of scores (N, C), which are used up: of one logistic score the
    probabilities of two classes, else as many outputs as scores."""
    if scores.ndim != 2 or not (is_dense(scores, F32) or is_dense(scores, F64)) \
            or not cnp.PyArray_ISWRITEABLE(scores):
        raise ValueError("respond: scores is no C-contiguous float32 or float64 array (N, C)")
    return outputs_of(scores, find_output(output))


# Whether a list holds these very objects.
cdef bint holds(object value, list shown) noexcept:
    cdef Py_ssize_t i
    if type(value) is not list or len(<list> value) != len(shown):
        return False
    for i in range(len(shown)):
        if (<list> value)[i] is not shown[i]:
            return False
    return True


@cython.final
cdef class Response:
    """Response(predictor, output, coefs, intercepts)
    --

    response(X, attributes): what an estimator of these attributes returns of a few examples.  None
    unless X is an array (N, D) of finite numbers as the predictor takes them, and nothing is left
    to check: the estimator's weights are those that were shown, and its features have no names.
    """

    cdef Predictor predictor
    cdef int output
    cdef list coefs, intercepts

    def __cinit__(self, Predictor predictor not None, str output, list coefs not None,
                  list intercepts not None):
        self.predictor = predictor
        self.output = find_output(output)
        self.coefs, self.intercepts = coefs, intercepts

    def __call__(self, X, dict attributes not None):
        cdef ndarray x
        cdef size_t n
        if not cnp.PyArray_CheckExact(X) or "feature_names_in_" in attributes \
                or not holds(attributes.get("coefs_"), self.coefs) \
                or not holds(attributes.get("intercepts_"), self.intercepts):
            return None
        x = X
        if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] != self.predictor.D \
                or not is_dense(x, self.predictor.type):
            return None
        n = cnp.PyArray_SIZE(x)
        if n > FEW_NUMBERS or not call_all_finite(self.predictor.type, cnp.PyArray_DATA(x), n):
            return None
        return outputs_of(self.predictor(x), self.output)
