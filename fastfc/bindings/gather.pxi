# Minibatches: rows of the training data, converted on the way.

# index as dense int64 row numbers of an array of `rows` rows, negative ones counted from the end.
cdef ndarray as_row_numbers(object index, cnp.npy_intp rows):
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


# mean or std as a dense (D,) row: a number for each feature, or for what broadcasts to an example.
cdef ndarray as_feature_row(str function, str name, object value, tuple example,
                            cnp.npy_intp D, int dtype):
    cdef int given = 0
    cdef ndarray array = as_operand(function, name, value, &given)
    if array.ndim == 1 and array.shape[0] == D:
        return as_dense(array, dtype)
    try:
        array = np.broadcast_to(array, example)
    except ValueError:
        raise shape_error(function, name, array, f"({D},), or what broadcasts to an example "
                          f"of shape {example}") from None
    return as_dense(array, dtype).reshape(D)


def feature_row(str function, str name, value, tuple example, dtype):
    """A number for each feature of an example, from as many or from what broadcasts to one."""
    return as_feature_row(function, name, value, example, math.prod(example), np.dtype(dtype).num)


# Describes X[index], normalised or not, for the core; adds to `held` what must live as long.  False
# where rows must go through NumPy: of other types, or not dense.  What is then in `held` is the
# dense index and, unless None, mean and std.
cdef bint bind_rows(fc_gather *rows, ndarray x, object index, object mean, object std,
                    int dtype, list held) except -1:
    if x.ndim == 0:
        raise shape_error("gather", "X", x, "(N, d_1, ..., d_k)")
    cdef ndarray numbers = as_row_numbers(index, x.shape[0])
    cdef ndarray mean_row = None, std_row = None
    cdef cnp.npy_intp D = count_features("gather", x)
    if (mean is None) != (std is None):
        raise ValueError("gather: mean and std must be given both or neither")
    if mean is not None:
        example = (<object> x).shape[1:]
        mean_row = as_feature_row("gather", "mean", mean, example, D, dtype)
        std_row = as_feature_row("gather", "std", std, example, D, dtype)
    held += [numbers, mean_row, std_row]
    cdef int given = cnp.PyArray_TYPE(x)
    if given != F32 and given != F64 and given != cnp.NPY_UINT8:
        return False
    if not has_dense_rows(x) or not cnp.PyArray_ISBEHAVED_RO(x):
        return False
    rows.x = cnp.PyArray_DATA(x)
    rows.type = FC_FLOAT32 if given == F32 else FC_FLOAT64 if given == F64 else FC_UINT8
    rows.stride = x.strides[0]
    rows.index = <const cnp.int64_t *> cnp.PyArray_DATA(numbers)
    rows.mean = NULL if mean_row is None else cnp.PyArray_DATA(mean_row)
    rows.std = NULL if std_row is None else cnp.PyArray_DATA(std_row)
    return True


def gather(X, index, dtype, mean=None, std=None):
    """``X[index].astype(dtype)`` for a 1-d integer index and dtype float32 or float64.

    With mean and std, in that dtype, ``(X[index].astype(dtype) - mean) / std``: a number for each
    feature, or what broadcasts to an example.

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
    cdef fc_gather rows
    cdef list held = []
    cdef bint plain = bind_rows(&rows, x, index, mean, std, kind, held)
    cdef cnp.npy_intp N = len(held[0]), D = count_features("gather", x)
    if not plain:
        with np.errstate(all="ignore"):
            converted = np.asarray(x)[held[0]].astype(dtype, order="C")
            if mean is not None:
                by_feature = converted.reshape(N, D)
                by_feature -= held[1]
                by_feature /= held[2]
        return converted
    cdef cnp.npy_intp[64] shape  # NumPy's own limit of dimensions
    cdef int i
    shape[0] = N
    for i in range(1, x.ndim):
        shape[i] = x.shape[i]
    cdef ndarray out = fresh(x.ndim, shape, kind)
    with nogil:
        call_gather(kind, cnp.PyArray_DATA(out), &rows, N, D)
    return out
