# Update rules: (w, dw, state..., hyper-parameters) -> next arrays.  fastfc/optim.py keeps the
# config.


cdef class Weights:
    """A parameter and its gradient, dense and of one shape and dtype: the parameter's."""

    cdef str function
    cdef ndarray w, dw
    cdef int dtype
    cdef size_t n

    def __cinit__(self, str function, w, dw):
        cdef int w_dtype = 0, dw_dtype = 0
        self.function = function
        self.w = operand(function, "w", w, &w_dtype)
        self.dw = operand(function, "dw", dw, &dw_dtype)
        settled(&dw_dtype)
        self.dtype = w_dtype if w_dtype else dw_dtype
        if self.w.ndim == 0 and self.dw.ndim:  # a plain 0 takes its gradient's shape
            self.w = np.broadcast_to(self.w, (<object> self.dw).shape)
        self.w = dense(self.w, self.dtype)
        self.dw = self.state("dw", dw)
        self.n = cnp.PyArray_SIZE(self.w)

    cdef ndarray state(self, str name, object value):
        cdef int given = 0
        cdef ndarray array = operand(self.function, name, value, &given)
        if array.ndim == 0 and self.w.ndim:
            array = np.broadcast_to(array, (<object> self.w).shape)
        if not same_shape(array, self.w):
            raise shape_error(self.function, name, array,
                              f"{(<object> self.w).shape}, the shape of w")
        return dense(array, self.dtype)

    cdef ndarray fresh(self):
        return fresh_like(self.w, self.dtype)


# Whether b's memory meets a's at another offset: an update in place would read what it has written.
cdef bint overlap(ndarray a, ndarray b):
    cdef const char *pa = cnp.PyArray_BYTES(a)
    cdef const char *pb = cnp.PyArray_BYTES(b)
    return pa != pb and pa < pb + cnp.PyArray_NBYTES(b) and pb < pa + cnp.PyArray_NBYTES(a)


def sgd(w, dw, learning_rate):
    cdef double lr = number("sgd", "learning_rate", learning_rate)
    cdef Weights p = Weights("sgd", w, dw)
    cdef bint in_place = isinstance(w, np.ndarray) and same_shape(w, p.w)
    cdef ndarray next_w
    if in_place and not np.can_cast(p.w.dtype, w.dtype, "same_kind"):
        raise TypeError(f"sgd: w has dtype {w.dtype}, expected a float dtype to update in place")
    if in_place and not w.flags.writeable:
        raise ValueError("sgd: w is read-only, expected an array to update in place")
    next_w = w if in_place and p.w is w and not overlap(p.w, p.dw) else p.fresh()
    with nogil:
        call_sgd(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(p.w),
                 cnp.PyArray_DATA(p.dw), lr, p.n)
    if in_place:
        if next_w is not w:
            w[...] = next_w
        return w
    return next_w


def sgd_momentum(w, dw, velocity, learning_rate, momentum):
    cdef double lr = number("sgd_momentum", "learning_rate", learning_rate)
    cdef double mu = number("sgd_momentum", "momentum", momentum)
    cdef Weights p = Weights("sgd_momentum", w, dw)
    cdef ndarray v = p.state("velocity", velocity), next_w = p.fresh(), next_v = p.fresh()
    with nogil:
        call_sgd_momentum(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(next_v),
                          cnp.PyArray_DATA(p.w), cnp.PyArray_DATA(p.dw), cnp.PyArray_DATA(v), lr,
                          mu, p.n)
    return next_w, next_v


def sgd_nesterov_momentum(w, dw, velocity, learning_rate, momentum):
    cdef double lr = number("sgd_nesterov_momentum", "learning_rate", learning_rate)
    cdef double mu = number("sgd_nesterov_momentum", "momentum", momentum)
    cdef Weights p = Weights("sgd_nesterov_momentum", w, dw)
    cdef ndarray v = p.state("velocity", velocity), next_w = p.fresh(), next_v = p.fresh()
    with nogil:
        call_sgd_nesterov_momentum(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(next_v),
                                   cnp.PyArray_DATA(p.w), cnp.PyArray_DATA(p.dw),
                                   cnp.PyArray_DATA(v), lr, mu, p.n)
    return next_w, next_v


def rmsprop(w, dw, a, learning_rate, decay_rate, epsilon):
    cdef double lr = number("rmsprop", "learning_rate", learning_rate)
    cdef double rho = number("rmsprop", "decay_rate", decay_rate)
    cdef double eps = number("rmsprop", "epsilon", epsilon)
    cdef Weights p = Weights("rmsprop", w, dw)
    cdef ndarray old = p.state("a", a), next_w = p.fresh(), next_a = p.fresh()
    with nogil:
        call_rmsprop(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(next_a),
                     cnp.PyArray_DATA(p.w), cnp.PyArray_DATA(p.dw), cnp.PyArray_DATA(old), lr, rho,
                     eps, p.n)
    return next_w, next_a


cdef object adam_step(str function, bint decays, w, dw, v, a, learning_rate, beta1, beta2, epsilon,
                      t, weight_decay):
    cdef double lr = number(function, "learning_rate", learning_rate)
    cdef double b1 = number(function, "beta1", beta1), b2 = number(function, "beta2", beta2)
    cdef double eps = number(function, "epsilon", epsilon), steps = number(function, "t", t)
    cdef double decay = number(function, "weight_decay", weight_decay)
    if not steps >= 1:
        raise ValueError(f"{function}: t is {t}, expected the number of this update, at least 1")
    cdef Weights p = Weights(function, w, dw)
    cdef ndarray first = p.state("v", v), second = p.state("a", a)
    cdef ndarray next_w = p.fresh(), next_v = p.fresh(), next_a = p.fresh()
    with nogil:
        if decays:
            call_adamw(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(next_v),
                       cnp.PyArray_DATA(next_a), cnp.PyArray_DATA(p.w), cnp.PyArray_DATA(p.dw),
                       cnp.PyArray_DATA(first), cnp.PyArray_DATA(second), lr, b1, b2, eps, steps,
                       decay, p.n)
        else:
            call_adam(p.dtype, cnp.PyArray_DATA(next_w), cnp.PyArray_DATA(next_v),
                      cnp.PyArray_DATA(next_a), cnp.PyArray_DATA(p.w), cnp.PyArray_DATA(p.dw),
                      cnp.PyArray_DATA(first), cnp.PyArray_DATA(second), lr, b1, b2, eps, steps,
                      p.n)
    return next_w, next_v, next_a


def adam(w, dw, v, a, learning_rate, beta1, beta2, epsilon, t):
    return adam_step("adam", False, w, dw, v, a, learning_rate, beta1, beta2, epsilon, t, 0)


def adamw(w, dw, v, a, learning_rate, beta1, beta2, epsilon, t, weight_decay):
    return adam_step("adamw", True, w, dw, v, a, learning_rate, beta1, beta2, epsilon, t,
                     weight_decay)


def sum_of_squares(x):
    cdef int dtype = 0
    cdef double total
    cdef ndarray array = operand("sum_of_squares", "x", x, &dtype)
    array = dense(array, settled(&dtype))
    with nogil:
        total = call_sum_of_squares(dtype, cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return total
