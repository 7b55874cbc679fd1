# What every operation shares: turning what the caller passed into dense arrays of one dtype, saying
# clearly what is wrong with it, and making the outputs.

ctypedef cnp.ndarray ndarray

cdef enum:
    F32 = cnp.NPY_FLOAT32
    F64 = cnp.NPY_FLOAT64

cdef bint poison = False
cdef object check_array = None  # (name, value): what set_array_check was given


def _poison(bint on):
    """Fill every output with NaN before its kernel runs, so that tests see an unwritten element."""
    global poison
    poison = on


def set_array_check(check):
    """Have check(name, value) called for every operand that is no plain array, before NumPy makes
    one of it: it raises for what NumPy would take for something else."""
    global check_array
    check_array = check


cdef object shape_error(str function, str name, ndarray array, str expected):
    return ValueError(f"{function}: {name} has shape {(<object>array).shape}, expected {expected}")


# value as an array of real numbers.  dtype, 0 to begin with, becomes F32 while all operands are
# float32 and F64 with the first that is not; Python's own scalars leave it as it is.
cdef ndarray as_operand(str function, str name, object value, int *dtype):
    cdef ndarray array
    cdef int kind
    if cnp.PyArray_CheckExact(value):
        array = value
    else:
        if check_array is not None and type(value) is not int and type(value) is not float:
            check_array(f"{function}: {name}", value)
        try:
            array = np.asarray(value)
        except ValueError as error:  # ragged nesting
            raise ValueError(f"{function}: {name} is not an array of numbers: {error}") from None
        if type(array) is not np.ndarray:
            array = cnp.PyArray_EnsureArray(array)
        if type(value) is int or type(value) is float:
            return array
    kind = cnp.PyArray_TYPE(array)
    if kind == F32:
        if dtype[0] == 0:
            dtype[0] = F32
    elif kind <= cnp.NPY_ULONGLONG or kind == F64 or kind == cnp.NPY_FLOAT16:
        dtype[0] = F64
    else:
        raise TypeError(
            f"{function}: {name} has dtype {array.dtype}, "
            "expected a real dtype: float32, float64, float16, integer or bool"
        )
    return array


# The dtype that all operands together are computed in.
cdef inline int resolve_dtype(int *dtype) noexcept:
    if dtype[0] == 0:
        dtype[0] = F64
    return dtype[0]


# array as dense, aligned, native memory of dtype: itself where it is that already.
cdef ndarray as_dense(ndarray array, int dtype):
    if cnp.PyArray_TYPE(array) == dtype and cnp.PyArray_ISCARRAY_RO(array):
        return array
    return cnp.PyArray_FROMANY(array, dtype, 0, 0,
                               cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)


cdef ndarray fresh(int ndim, const cnp.npy_intp *dims, int dtype):
    cdef ndarray array = cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> dims, dtype, 0)
    if poison:
        array.fill(np.nan)
    return array


cdef ndarray fresh_like(ndarray array, int dtype):
    return fresh(array.ndim, array.shape, dtype)


# A dense (D,) array from one of shape (D,), (1, D), or a scalar.  D is what `other` asks for.
cdef ndarray as_vector(str function, str name, ndarray array, cnp.npy_intp D, int dtype,
                       str other_name, ndarray other):
    cdef int ndim = array.ndim
    if ndim == 0:
        array = np.broadcast_to(array, (D,))
    elif ndim == 2 and array.shape[0] == 1 and array.shape[1] == D:
        array = array.reshape(D)
    elif ndim != 1 or array.shape[0] != D:
        raise shape_error(function, name, array,
                          f"({D},) to match {other_name} of shape {(<object>other).shape}")
    return as_dense(array, dtype)


# Whether an array that require_broadcast has passed is the same for all rows.
cdef bint is_row(ndarray array):
    return array.ndim < 2 or array.shape[0] == 1


# That array broadcasts against x (N, D) and leaves its shape as it is.
cdef int require_broadcast(str function, str name, ndarray array, cnp.npy_intp N, cnp.npy_intp D,
                           str other_name, ndarray other) except -1:
    cdef int ndim = array.ndim
    if ndim > 2 or ndim > 0 and array.shape[ndim - 1] not in (1, D) \
            or ndim == 2 and array.shape[0] not in (1, N):
        raise shape_error(function, name, array,
                          f"({D},), or one that broadcasts to ({N}, {D}), to match {other_name} "
                          f"of shape {(<object>other).shape}")
    return 0


# A dense (D,) array from one that is_row.
cdef ndarray as_row(ndarray array, cnp.npy_intp D, int dtype):
    if array.ndim == 2:
        array = array[0]
    if array.ndim == 0 or array.shape[0] != D:
        array = np.broadcast_to(array, (D,))
    return as_dense(array, dtype)


cdef int require_matrix(str function, str name, ndarray array, str expected) except -1:
    if array.ndim != 2:
        raise shape_error(function, name, array, expected)
    return 0


cdef bint same_shape(ndarray a, ndarray b):
    cdef int i
    if a.ndim != b.ndim:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i]:
            return False
    return True


# The product of x.shape[1:]; an empty batch may hide one that no array could have.
cdef cnp.npy_intp count_features(str function, ndarray x) except -1:
    cdef cnp.npy_intp D = 1
    cdef int i
    for i in range(1, x.ndim):
        if x.shape[i] and D > PTRDIFF_MAX // x.shape[i]:
            raise shape_error(function, "x", x, "fewer features")
        D *= x.shape[i]
    return D


# NumPy's real scalars: these classes exactly, so that reading one runs no code of the caller's.
cdef frozenset REAL_SCALARS = frozenset(np.dtype(code).type for code in "bhilqBHILQefdg")


# Reads a plain real number: Python's, NumPy's, or that of a 0-d array.  False for anything else.
cdef bint read_number(double *number, object value) except -1:
    if isinstance(value, float) or type(value) is int:
        try:
            number[0] = value
        except OverflowError:  # an integer beyond all floats
            return False
        return True
    if cnp.PyArray_CheckExact(value) and (<ndarray> value).ndim == 0 \
            and (cnp.PyArray_ISINTEGER(<ndarray> value) or cnp.PyArray_ISFLOAT(<ndarray> value)):
        value = value[()]
    if type(value) in REAL_SCALARS:
        number[0] = value
        return True
    return False


cdef double as_number(str function, str name, object value) except? -1:
    if isinstance(value, np.ndarray) and value.ndim:  # of one element it would pass for a number
        raise TypeError(f"{function}: {name} is {value!r}, expected a number")
    try:
        return value
    except TypeError:
        raise TypeError(f"{function}: {name} is {value!r}, expected a number") from None
    except OverflowError:
        raise ValueError(f"{function}: {name} is too large, expected a number that fits a float") \
            from None


cdef double as_eps(str function, str name, object value) except? -1:
    cdef double eps = as_number(function, name, value)
    if not (eps >= 0 and isfinite(eps)):
        raise ValueError(
            f"{function}: {name} is {value!r}, expected a finite number of at least 0")
    return eps


cdef double as_momentum(str function, str name, object value) except? -1:
    cdef double momentum = as_number(function, name, value)
    if not 0 <= momentum <= 1:
        raise ValueError(f"{function}: {name} is {value!r}, expected a number from 0 to 1")
    return momentum


# A mapping as a dict to read from: itself if it is one, of any subclass, else a copy.
cdef object as_dict(str function, str name, object mapping):
    if isinstance(mapping, dict):
        return mapping
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{function}: {name} is {mapping!r}, expected a dict")
    return dict(mapping)


cdef object require_entry(str function, str name, object mapping, str key):
    try:
        return (<dict> as_dict(function, name, mapping))[key]
    except KeyError:
        raise ValueError(f"{function}: {name} has no key {key!r}") from None


# Scores (N, C), dense, with at least one row and column.
cdef ndarray as_scores(str function, object x, int *dtype):
    cdef ndarray array = as_operand(function, "x", x, dtype)
    require_matrix(function, "x", array, "(N, C)")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise shape_error(function, "x", array, "(N, C) with N >= 1 and C >= 1")
    return as_dense(array, resolve_dtype(dtype))


# Labels (N,), dense int64, each in [0, C).
cdef ndarray as_labels(str function, object y, cnp.npy_intp N, cnp.npy_intp C):
    cdef const cnp.int64_t *label
    cdef cnp.npy_intp i
    if check_array is not None and not cnp.PyArray_CheckExact(y):
        check_array(f"{function}: y", y)
    cdef ndarray array = y if cnp.PyArray_CheckExact(y) else np.asarray(y)
    if not cnp.PyArray_ISINTEGER(array):
        raise TypeError(f"{function}: y has dtype {array.dtype}, expected integer labels")
    if array.ndim != 1 or array.shape[0] != N:
        raise shape_error(function, "y", array, f"({N},) to match x of shape ({N}, {C})")
    array = as_dense(array, cnp.NPY_INT64)
    label = <const cnp.int64_t *> cnp.PyArray_DATA(array)
    for i in range(N):
        if label[i] < 0 or label[i] >= C:
            raise ValueError(
                f"{function}: y[{i}] is {np.asarray(y)[i]}, expected a label from 0 to {C - 1}")
    return array
