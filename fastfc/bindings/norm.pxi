# The norm that gradients are clipped to.

def sum_of_squares(x):
    cdef int dtype = 0
    cdef double total = 0
    cdef ndarray array = as_operand("sum_of_squares", "x", x, &dtype)
    array = as_dense(array, resolve_dtype(&dtype))
    with nogil:
        call_sum_of_squares(dtype, &total, cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return total
