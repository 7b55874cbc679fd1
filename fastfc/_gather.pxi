# Minibatches: rows of the training data, converted on the way.

cdef extern from *:
    """
    #define call_gather(dtype, ...) FC_CALL(dtype, gather, __VA_ARGS__)
    """
    ctypedef enum fc_type:
        FC_FLOAT32
        FC_FLOAT64
        FC_UINT8
    void call_gather(int dtype, void *out, void *x, fc_type type, Py_ssize_t stride,
                     const cnp.int64_t *index, size_t N, size_t D) nogil


# index as dense int64 row numbers of an array of `rows` rows, negative ones counted from the end.
cdef ndarray row_numbers(object index, cnp.npy_intp rows):
    cdef ndarray given = np.asarray(index)
    cdef ndarray numbers
    cdef cnp.int64_t *number
    cdef cnp.npy_intp i
    if not cnp.PyArray_ISINTEGER(given):
        raise TypeError(f"gather: index has dtype {given.dtype}, expected integers")
    if given.ndim != 1:
        raise shape_error("gather", "index", given, "(N,)")
    numbers = cnp.PyArray_FROMANY(
        given, cnp.NPY_INT64, 0, 0,
        cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_FORCECAST | cnp.NPY_ARRAY_ENSURECOPY)
    number = <cnp.int64_t *> cnp.PyArray_DATA(numbers)
    for i in range(numbers.shape[0]):
        if number[i] < 0 and cnp.PyArray_ISSIGNED(given):
            number[i] += rows
        if number[i] < 0 or number[i] >= rows:
            raise IndexError(
                f"gather: index[{i}] is {given[i]}, expected a row of X from {-rows} to {rows - 1}")
    return numbers


# Whether the elements of a row lie side by side.
cdef bint has_dense_rows(ndarray x):
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    cdef int i
    for i in range(x.ndim - 1, 0, -1):
        if x.shape[i] != 1 and x.strides[i] != expected:
            return False
        expected *= x.shape[i]
    return True


def gather(X, index, dtype):
    """``X[index].astype(dtype)`` for a 1-d integer index and dtype float32 or float64.

    Rows of float32, float64 and uint8 are converted as they are gathered, by all threads; what else
    X may hold, and rows that are not dense, go through NumPy.  What is too large for float32
    becomes an infinity, without a warning.
    """
    cdef int kind = np.dtype(dtype).num
    if kind != F32 and kind != F64:
        raise TypeError(f"gather: dtype is {np.dtype(dtype)}, expected float32 or float64")
    if not isinstance(X, np.ndarray):
        raise TypeError(f"gather: X is {type(X).__name__}, expected an array")
    cdef ndarray x = X
    if x.ndim == 0:
        raise shape_error("gather", "X", x, "(N, d_1, ..., d_k)")
    cdef ndarray rows = row_numbers(index, x.shape[0])
    cdef int given = cnp.PyArray_TYPE(x)
    cdef bint known = given == F32 or given == F64 or given == cnp.NPY_UINT8
    if not known or not has_dense_rows(x) or not cnp.PyArray_ISBEHAVED_RO(x):
        with np.errstate(over="ignore"):
            return np.asarray(x)[rows].astype(dtype, order="C")
    cdef fc_type type_ = FC_FLOAT32 if given == F32 else FC_FLOAT64 if given == F64 else FC_UINT8
    cdef cnp.npy_intp N = rows.shape[0], D = features("gather", x), stride = x.strides[0]
    cdef cnp.npy_intp[64] shape  # NumPy's own limit of dimensions
    cdef int i
    shape[0] = N
    for i in range(1, x.ndim):
        shape[i] = x.shape[i]
    cdef ndarray out = fresh(x.ndim, shape, kind)
    with nogil:
        call_gather(kind, cnp.PyArray_DATA(out), cnp.PyArray_DATA(x), type_, stride,
                    <const cnp.int64_t *> cnp.PyArray_DATA(rows), N, D)
    return out
