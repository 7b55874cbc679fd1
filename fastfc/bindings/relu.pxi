# The rectifier.

def relu_forward(x):
    cdef int dtype = 0
    cdef ndarray xa = as_operand("relu_forward", "x", x, &dtype)
    xa = as_dense(xa, resolve_dtype(&dtype))
    cdef ndarray out = fresh_like(xa, dtype)
    with nogil:
        call_relu_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(xa),
                          cnp.PyArray_SIZE(xa))
    return out, x


def relu_backward(dout, cache):
    cdef int dtype = 0
    cdef ndarray g = as_operand("relu_backward", "dout", dout, &dtype)
    cdef ndarray x = as_operand("relu_backward", "cache", cache, &dtype)
    if not same_shape(g, x):
        raise shape_error("relu_backward", "dout", g,
                          f"{(<object>x).shape}, the shape of relu_forward's x")
    g = as_dense(g, resolve_dtype(&dtype))
    x = as_dense(x, dtype)
    cdef ndarray dx = fresh_like(x, dtype)
    with nogil:
        call_relu_backward(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(g), cnp.PyArray_DATA(x),
                           cnp.PyArray_SIZE(x))
    return dx
