# Activations: single ones, and their numbers for networks.

cdef dict activations = {
    "relu": FC_RELU,
    "identity": FC_IDENTITY,
    "logistic": FC_LOGISTIC,
    "tanh": FC_TANH,
    "leaky_relu": FC_LEAKY_RELU,
    "silu": FC_SILU,
    "gelu": FC_GELU,
}


# The number of a network's activation, -1 if it is none.
cdef int find_activation(object name):
    return activations.get(name, -1) if type(name) is str else -1


# The name of an activation.
cdef str name_of_activation(int activation):
    return next(name for name, number in activations.items() if number == activation)


cdef ndarray activation_forward(str function, int activation, object x):
    cdef int dtype
    cdef list arrays = [x]
    read_operands(function, ("x",), arrays, 1, &dtype)
    settle(arrays, dtype)
    cdef ndarray xa = arrays[0]
    cdef ndarray out = fresh_like(xa, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef size_t n = cnp.PyArray_SIZE(out)
    cdef Watch watch
    begin_watch(&watch, n)
    with nogil:
        if activation == FC_RELU:
            call_relu_forward(dtype, pout, px, n)
        else:
            call_activation_forward(dtype, pout, px, activation, n)
    end_watch(&watch)
    raise_noted(&watch)
    return out


# cached: what the cache is.
cdef ndarray activation_backward(str function, int activation, object dout, object cache,
                                 str cached):
    cdef int dtype
    cdef list arrays = [dout, cache]
    read_operands(function, ("dout", "cache"), arrays, 2, &dtype)
    cdef ndarray g, x
    while True:
        g, x = arrays[0], arrays[1]
        if not same_shape(g, x):
            raise shape_error(function, "dout", g, f"{(<object>x).shape}, the shape of {cached}")
        if settled(arrays, dtype):
            break
    cdef ndarray dx = fresh_like(x, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdout = cnp.PyArray_DATA(g)
    cdef void *px = cnp.PyArray_DATA(x)
    cdef size_t n = cnp.PyArray_SIZE(dx)
    cdef Watch watch
    begin_watch(&watch, n)
    with nogil:
        if activation == FC_RELU:
            call_relu_backward(dtype, pdx, pdout, px, n)
        else:
            call_activation_backward(dtype, pdx, pdout, px, activation, n)
    end_watch(&watch)
    raise_noted(&watch)
    return dx


def relu_forward(x):
    return activation_forward("relu_forward", FC_RELU, x), x


def relu_backward(dout, cache):
    return activation_backward("relu_backward", FC_RELU, dout, cache, "relu_forward's x")


def sigmoid_forward(x):
    out = activation_forward("sigmoid_forward", FC_LOGISTIC, x)
    return out, out


def sigmoid_backward(dout, cache):
    return activation_backward("sigmoid_backward", FC_LOGISTIC, dout, cache,
                               "sigmoid_forward's out")


def tanh_forward(x):
    out = activation_forward("tanh_forward", FC_TANH, x)
    return out, out


def tanh_backward(dout, cache):
    return activation_backward("tanh_backward", FC_TANH, dout, cache, "tanh_forward's out")


def leaky_relu_forward(x):
    return activation_forward("leaky_relu_forward", FC_LEAKY_RELU, x), x


def leaky_relu_backward(dout, cache):
    return activation_backward("leaky_relu_backward", FC_LEAKY_RELU, dout, cache,
                               "leaky_relu_forward's x")


def silu_forward(x):
    return activation_forward("silu_forward", FC_SILU, x), x


def silu_backward(dout, cache):
    return activation_backward("silu_backward", FC_SILU, dout, cache, "silu_forward's x")


def gelu_forward(x):
    return activation_forward("gelu_forward", FC_GELU, x), x


def gelu_backward(dout, cache):
    return activation_backward("gelu_backward", FC_GELU, dout, cache, "gelu_forward's x")
