# The norm that gradients are clipped to.

def sum_of_squares(x):
    cdef int dtype
    cdef double total = 0
    cdef Watch watch
    cdef list arrays = [x]
    read_operands("sum_of_squares", ("x",), arrays, 1, &dtype)
    settle(arrays, dtype)
    cdef ndarray array = arrays[0]
    cdef void *px = cnp.PyArray_DATA(array)
    cdef size_t n = cnp.PyArray_SIZE(array)
    begin_watch(&watch, n)
    with nogil:
        call_sum_of_squares(dtype, &total, px, n)
    end_watch(&watch)
    raise_noted(&watch)
    return total
