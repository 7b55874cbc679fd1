# Minibatches: rows of the training data, converted on the way.

cdef int require_index(ndarray index) except -1:
    if index.ndim != 1:
        raise shape_error("gather", "index", index, "(N,)")
    return 0


# That numbers, a copy of the index, are (N,) and each a row of X; negative ones, which count from
# the end, are replaced.
cdef int require_rows(ndarray numbers, object index, cnp.npy_intp rows) except -1:
    cdef cnp.int64_t *number = <cnp.int64_t *> cnp.PyArray_DATA(numbers)
    cdef cnp.int64_t row
    cdef cnp.npy_intp i
    require_index(numbers)
    for i in range(numbers.shape[0]):
        row = number[i] + rows if number[i] < 0 else number[i]
        if row < 0 or row >= rows:
            raise IndexError(f"gather: index[{i}] is {integer_at(index, i, number[i])}, expected a "
                             f"row of X from {-rows} to {rows - 1}")
        number[i] = row
    return 0


# Whether the elements of a row lie side by side.
cdef bint has_dense_rows(ndarray x):
    cdef cnp.npy_intp expected = cnp.PyArray_ITEMSIZE(x)
    cdef int i
    for i in range(x.ndim - 1, 0, -1):
        if x.shape[i] != 1 and x.strides[i] != expected:
            return False
        expected *= x.shape[i]
    return True


# mean or std as a (D,) row of its own: a number for each feature, or for what broadcasts to an
# example.
cdef ndarray as_feature_row(str function, str name, object value, tuple example,
                            cnp.npy_intp D, int dtype):
    cdef ndarray array = as_array(function, name, value)
    require_real(function, name, array)
    if array.ndim != 1 or array.shape[0] != D:
        try:
            array = np.broadcast_to(array, example)
        except ValueError:
            raise shape_error(function, name, array, f"({D},), or what broadcasts to an example "
                              f"of shape {example}") from None
    array = cnp.PyArray_FROMANY(
        array, dtype, 0, 0, cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_FORCECAST
        | cnp.NPY_ARRAY_ENSURECOPY | cnp.NPY_ARRAY_ENSUREARRAY)
    return array.reshape(array.size)


def feature_row(str function, str name, value, tuple example, dtype):
    """A number for each feature of an example, from as many or from what broadcasts to one."""
    return as_feature_row(function, name, value, example, math.prod(example), np.dtype(dtype).num)


# Describes X[index], normalised or not, for the core; `read` has index, mean and std as
# read_rows leaves them.  False where rows must go through NumPy: of other types, or not dense.
cdef bint bind_rows(fc_gather *rows, ndarray x, object index, list read) except -1:
    cdef ndarray numbers = read[0], mean = read[1], std = read[2]
    cdef cnp.npy_intp D
    if x.ndim == 0:
        raise shape_error("gather", "X", x, "(N, d_1, ..., d_k)")
    require_rows(numbers, index, x.shape[0])
    D = count_features("gather", x)
    if mean is not None and (mean.shape[0] != D or std.shape[0] != D):
        raise shape_error("gather", "X", x,
                          "an array that nobody changes during the call")
    cdef int given = cnp.PyArray_TYPE(x)
    if given != F32 and given != F64 and given != cnp.NPY_UINT8:
        return False
    if not has_dense_rows(x) or not cnp.PyArray_ISBEHAVED_RO(x):
        return False
    rows.x = cnp.PyArray_DATA(x)
    rows.type = FC_FLOAT32 if given == F32 else FC_FLOAT64 if given == F64 else FC_UINT8
    rows.stride = x.strides[0]
    rows.index = <const cnp.int64_t *> cnp.PyArray_DATA(numbers)
    rows.mean = NULL if mean is None else cnp.PyArray_DATA(mean)
    rows.std = NULL if std is None else cnp.PyArray_DATA(std)
    return True


# index, mean and std of the rows of X as arrays that only this call holds; the last two may be
# None.
cdef list read_rows(ndarray x, object index, object mean, object std, int dtype):
    cdef ndarray given = as_integers("gather", "index", index, "integers")
    require_index(given)  # before it is copied
    cdef list read = [copy_integers("gather", "index", given, "integers"), None, None]
    if (mean is None) != (std is None):
        raise ValueError("gather: mean and std must be given both or neither")
    if mean is not None:
        example = (<object> x).shape[1:]
        D = count_features("gather", x)
        read[1] = as_feature_row("gather", "mean", mean, example, D, dtype)
        read[2] = as_feature_row("gather", "std", std, example, D, dtype)
    return read


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
    cdef Watch watch
    cdef list read = read_rows(x, index, mean, std, kind)
    cdef bint plain = bind_rows(&rows, x, index, read)
    cdef cnp.npy_intp N = (<ndarray> read[0]).shape[0], D = count_features("gather", x)
    if not plain:
        with np.errstate(all="ignore"):
            converted = np.asarray(x)[read[0]].astype(
                np.float32 if kind == F32 else np.float64, order="C")
            if mean is not None:
                by_feature = converted.reshape(N, D)
                by_feature -= read[1]
                by_feature /= read[2]
        return converted
    cdef cnp.npy_intp[64] shape  # NumPy's own limit of dimensions
    cdef int i
    shape[0] = N
    for i in range(1, x.ndim):
        shape[i] = x.shape[i]
    cdef ndarray out = fresh(x.ndim, shape, kind)
    cdef void *pout = cnp.PyArray_DATA(out)
    begin_watch(&watch, <double> N * D)
    with nogil:
        call_gather(kind, pout, &rows, N, D)
    end_watch(&watch)
    raise_noted(&watch)
    return out
