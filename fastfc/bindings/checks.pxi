# What every operation shares: turning what the caller passed into dense arrays of one dtype, saying
# clearly what is wrong with it, and making the outputs.

ctypedef cnp.ndarray ndarray

cdef enum:
    F32 = cnp.NPY_FLOAT32
    F64 = cnp.NPY_FLOAT64

cdef bint poison = False
cdef object to_array = None, show = None  # what set_argument_checks was given


def _poison(bint on):
    """Fill every output with NaN before its kernel runs, so that tests see an unwritten element."""
    global poison
    poison = on


def set_argument_checks(read, shown):
    """Tell the core how arguments are read and shown, which is said in Python.

    read(name, value) is the array of an operand that is none, or one of a subclass; it raises for
    what NumPy would take for something else.  shown(value) is the value as a message has it.
    """
    global to_array, show
    to_array, show = read, shown


# value in a message: short, and whatever its own __repr__ does.
cdef str shown(object value):
    return f"a {type(value).__name__}" if show is None else show(value)


cdef object shape_error(str function, str name, ndarray array, str expected):
    return ValueError(f"{function}: {name} has shape {(<object>array).shape}, expected {expected}")


# --- reading a call ---------------------------------------------------------------------------
#
# The order that every function of the bindings keeps:
#
#   1. Everything that may run Python: conversions of arrays, numbers and words, look-ups in
#      mappings, seeds, locks.  Any of it may change any array, mapping or model of the caller's.
#   2. Checks of shapes, then `settled`: arrays that the kernel cannot read as they lie are replaced
#      by copies.  NumPy lets other threads run while it copies, and its warnings run Python, so the
#      checks are made again, until none was replaced.  They come first because a view of the wrong
#      shape may be larger than all memory.
#   3. From the last checks to the kernel nothing of Python runs: sizes, outputs, addresses.  What a
#      check has seen is what the kernel gets.  Python's own garbage collector counts: no list,
#      tuple or dictionary is made here.
#   4. The kernel, without the GIL.  It reads numbers of the caller's arrays, which other threads
#      may change meanwhile; labels, row numbers and the generator's position, which say where it
#      reads and writes, are copies that only this call holds.
#   5. Results go into the caller's mappings when the kernel has ended: all or none.
#
# What raises may do as it likes: nothing comes after it.

# value as an array, itself if it is one.
cdef ndarray as_array(str function, str name, object value):
    cdef ndarray array
    if cnp.PyArray_CheckExact(value):
        return value
    if type(value) is not int and type(value) is not float:
        return np.asarray(value) if to_array is None else to_array(f"{function}: {name}", value)
    array = np.asarray(value)
    if cnp.PyArray_TYPE(array) == cnp.NPY_OBJECT:  # an integer beyond 64 bits
        array = np.asarray(as_number(function, name, value))
    return array


cdef bint is_real(int type) noexcept:
    return type <= cnp.NPY_ULONGLONG or type == F32 or type == F64 or type == cnp.NPY_FLOAT16


cdef int require_real(str function, str name, ndarray array) except -1:
    if not is_real(cnp.PyArray_TYPE(array)):
        raise TypeError(
            f"{function}: {name} has dtype {array.dtype}, "
            "expected a real dtype: float32, float64, float16, integer or bool"
        )
    return 0


# Whether C can read array as it lies.
cdef bint is_dense(ndarray array, int dtype) noexcept:
    return cnp.PyArray_TYPE(array) == dtype and cnp.PyArray_ISCARRAY_RO(array)


# array as dense, aligned, native memory of dtype: itself where it is that already.
cdef ndarray as_dense(ndarray array, int dtype):
    if is_dense(array, dtype):
        return array
    return cnp.PyArray_FROMANY(
        array, dtype, 0, 0,
        cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST | cnp.NPY_ARRAY_ENSUREARRAY)


# array without the subclass it may have, for the caller to keep.
cdef ndarray as_base(ndarray array):
    if cnp.PyArray_CheckExact(array):
        return array
    return cnp.PyArray_FROMANY(array, cnp.PyArray_TYPE(array), 0, 0, cnp.NPY_ARRAY_ENSUREARRAY)


# Whether all arrays are dense ones of dtype, or None.  If not, those that were not are now, and
# what was known of any of them is to be checked again.
cdef bint settled(list arrays, int dtype) except -1:
    cdef Py_ssize_t i
    cdef bint all_dense = True
    for i in range(len(arrays)):
        if arrays[i] is not None and not is_dense(<ndarray> arrays[i], dtype):
            arrays[i] = as_dense(<ndarray> arrays[i], dtype)
            all_dense = False
    return all_dense


# The same, for arrays whose shapes are not checked before.
cdef int settle(list arrays, int dtype) except -1:
    while not settled(arrays, dtype):
        pass
    return 0


# Turns arguments into arrays of real numbers, in their own list, for `settled` in one dtype.  The
# first `leading` decide which: float32 while all of them are, else float64; Python's own scalars
# leave it as it is.  The others may be None.
cdef int read_operands(str function, tuple names, list values, Py_ssize_t leading,
                       int *dtype) except -1:
    cdef Py_ssize_t i, count = len(values)
    cdef unsigned int numbers = 0
    for i in range(count):
        value = values[i]
        if cnp.PyArray_CheckExact(value) or value is None and i >= leading:
            continue
        if type(value) is int or type(value) is float:
            numbers |= 1u << i
        values[i] = as_array(function, names[i], value)
    dtype[0] = 0
    for i in range(count):
        if values[i] is None:
            continue
        require_real(function, names[i], <ndarray> values[i])
        if i >= leading or numbers >> i & 1:
            continue
        if cnp.PyArray_TYPE(<ndarray> values[i]) != F32:
            dtype[0] = F64
        elif dtype[0] == 0:
            dtype[0] = F32
    if dtype[0] == 0:
        dtype[0] = F64
    return 0


# value as an array of integers.
cdef ndarray as_integers(str function, str name, object value, str expected):
    cdef ndarray array = as_array(function, name, value)
    if not cnp.PyArray_ISINTEGER(array):
        raise TypeError(f"{function}: {name} has dtype {array.dtype}, expected {expected}")
    return array


# A copy of integers, as int64, that nobody else holds.
cdef ndarray copy_integers(str function, str name, object value, str expected):
    cdef ndarray array = as_integers(function, name, value, expected)
    if cnp.PyArray_TYPE(array) == cnp.NPY_ULONGLONG or cnp.PyArray_TYPE(array) == cnp.NPY_ULONG:
        # so that none comes out negative; of a 0-d array NumPy makes a scalar
        array = np.asarray(np.minimum(array, <Py_ssize_t> PTRDIFF_MAX))
    return cnp.PyArray_FROMANY(
        array, cnp.NPY_INT64, 0, 0, cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_FORCECAST
        | cnp.NPY_ARRAY_ENSURECOPY | cnp.NPY_ARRAY_ENSUREARRAY)


# A copy of real numbers in dtype, which nobody else holds; what is too large becomes an infinity.
cdef ndarray copy_reals(ndarray array, int dtype):
    cdef int flags = cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_FORCECAST | cnp.NPY_ARRAY_ENSURECOPY \
        | cnp.NPY_ARRAY_ENSUREARRAY
    if dtype == F64 or cnp.PyArray_TYPE(array) == dtype:
        return cnp.PyArray_FROMANY(array, dtype, 0, 0, flags)
    with np.errstate(all="ignore"):
        return cnp.PyArray_FROMANY(array, dtype, 0, 0, flags)


# --- outputs ----------------------------------------------------------------------------------

cdef ndarray fresh(int ndim, cnp.npy_intp *dims, int dtype):
    cdef ndarray array
    try:
        array = cnp.PyArray_EMPTY(ndim, dims, dtype, 0)
    except ValueError:  # more bytes than can be counted
        raise MemoryError(
            f"no memory for an array of shape {tuple([dims[i] for i in range(ndim)])}") from None
    if poison:
        array.fill(np.nan)
    return array


cdef ndarray fresh_like(ndarray array, int dtype):
    return fresh(array.ndim, array.shape, dtype)


# D times one number.
cdef ndarray repeat(ndarray number, cnp.npy_intp D, int dtype):
    cdef ndarray row = fresh(1, &D, dtype)
    cdef void *to = cnp.PyArray_DATA(row)
    cdef const void *source = cnp.PyArray_DATA(number)
    cdef cnp.npy_intp i
    for i in range(D):
        if dtype == F32:
            (<float *> to)[i] = (<const float *> source)[0]
        else:
            (<double *> to)[i] = (<const double *> source)[0]
    return row


# That array is (D,), (1, D) or ().  D is what `other` asks for.
cdef int require_vector(str function, str name, ndarray array, cnp.npy_intp D, str other_name,
                        ndarray other) except -1:
    cdef int ndim = array.ndim
    if ndim and (array.shape[ndim - 1] != D or ndim > 2 or ndim == 2 and array.shape[0] != 1):
        raise shape_error(function, name, array,
                          f"({D},) to match {other_name} of shape {(<object>other).shape}")
    return 0


# Whether an array that require_broadcast has passed is the same for all rows.
cdef bint is_row(ndarray array) noexcept:
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


# D numbers side by side, from a dense array that require_vector has passed, or that is_row.
cdef ndarray as_row(ndarray array, cnp.npy_intp D, int dtype):
    if array.ndim == 0 or array.shape[array.ndim - 1] != D:
        return repeat(array, D, dtype)
    return array


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


# Reads a plain real number: Python's, NumPy's, or that of a 0-d array.  False for anything else,
# and for one that no double holds.
cdef bint read_number(double *number, object value) except -1:
    if isinstance(value, float):
        number[0] = value
        return True
    if cnp.PyArray_CheckExact(value) and (<ndarray> value).ndim == 0 \
            and (cnp.PyArray_ISINTEGER(<ndarray> value) or cnp.PyArray_ISFLOAT(<ndarray> value)):
        value = value[()]
    if type(value) is not int and type(value) not in REAL_SCALARS:
        return False
    try:
        number[0] = value
    except OverflowError:
        return False
    return True


cdef double as_number(str function, str name, object value) except? -1:
    if isinstance(value, np.ndarray) and value.ndim:  # of one element it would pass for a number
        raise TypeError(f"{function}: {name} is {shown(value)}, expected a number")
    try:
        return value
    except TypeError:
        raise TypeError(f"{function}: {name} is {shown(value)}, expected a number") from None
    except OverflowError:
        raise ValueError(f"{function}: {name} is {shown(value)}, expected a number that fits a "
                         "float") from None


cdef bint is_eps(double eps) noexcept:
    return eps >= 0 and isfinite(eps)


cdef double as_eps(str function, str name, object value) except? -1:
    cdef double eps = as_number(function, name, value)
    if not is_eps(eps):
        raise ValueError(
            f"{function}: {name} is {shown(value)}, expected a finite number of at least 0")
    return eps


cdef bint is_momentum(double momentum) noexcept:
    return 0 <= momentum <= 1


cdef double as_momentum(str function, str name, object value) except? -1:
    cdef double momentum = as_number(function, name, value)
    if not is_momentum(momentum):
        raise ValueError(f"{function}: {name} is {shown(value)}, expected a number from 0 to 1")
    return momentum


# Which of the words value is, -1 for none; whatever else it is besides a string.
cdef int find_word(object value, const char *first, const char *second):
    if isinstance(value, str):
        if PyUnicode_CompareWithASCIIString(value, first) == 0:
            return 0
        if PyUnicode_CompareWithASCIIString(value, second) == 0:
            return 1
    return -1


# Whether value is the second of two words.
cdef bint as_word(str function, str name, object value, const char *first,
                  const char *second) except -1:
    cdef int found = find_word(value, first, second)
    if found < 0:
        raise ValueError(f"{function}: {name} is {shown(value)}, expected "
                         f"{first.decode()!r} or {second.decode()!r}")
    return found


# A mapping as a dict to read from: itself if it is one, of any subclass, else a copy.
cdef dict as_dict(str function, str name, object mapping):
    if type(mapping) is dict:
        return mapping
    if not isinstance(mapping, (dict, Mapping)):
        raise TypeError(f"{function}: {name} is {shown(mapping)}, expected a dict")
    return dict(mapping)


# The same of a mapping into which results will go.
cdef dict as_writable(str function, str name, object mapping):
    cdef dict read = as_dict(function, name, mapping)
    if type(mapping) is not dict and not hasattr(mapping, "__setitem__"):
        raise TypeError(f"{function}: {name} is {shown(mapping)}, expected a dict to be written to")
    return read


# Whether looking something up in mapping runs nothing of Python: keys of other types have an __eq__
# of their own.
cdef bint is_plain_dict(object mapping) noexcept:
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    if type(mapping) is not dict:
        return False
    cdef bint plain = True
    with cython.critical_section(mapping):  # for a Python without the GIL
        while plain and PyDict_Next(mapping, &at, &key, NULL):
            plain = PyUnicode_CheckExact(<object> key)
    return plain


cdef object require_entry(str function, str name, dict mapping, str key):
    try:
        return mapping[key]
    except KeyError:
        raise ValueError(f"{function}: {name} has no key {key!r}") from None
