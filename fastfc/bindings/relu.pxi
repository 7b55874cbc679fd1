# The rectifier.

def relu_forward(x):
    cdef int dtype
    cdef list arrays = [x]
    read_operands("relu_forward", ("x",), arrays, 1, &dtype)
    settle(arrays, dtype)
    cdef ndarray xa = arrays[0]
    cdef ndarray out = fresh_like(xa, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef size_t n = cnp.PyArray_SIZE(out)
    cdef Watch watch
    begin_watch(&watch, n)
    with nogil:
        call_relu_forward(dtype, pout, px, n)
    end_watch(&watch)
    raise_noted(&watch)
    return out, x


def relu_backward(dout, cache):
    cdef int dtype
    cdef list arrays = [dout, cache]
    read_operands("relu_backward", ("dout", "cache"), arrays, 2, &dtype)
    cdef ndarray g, x
    while True:
        g, x = arrays[0], arrays[1]
        if not same_shape(g, x):
            raise shape_error("relu_backward", "dout", g,
                              f"{(<object>x).shape}, the shape of relu_forward's x")
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
        call_relu_backward(dtype, pdx, pdout, px, n)
    end_watch(&watch)
    raise_noted(&watch)
    return dx
