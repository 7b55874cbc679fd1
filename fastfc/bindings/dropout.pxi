# Dropout, with masks from NumPy's stream or from Philox.

# Whether the mode is 'test'.
cdef bint is_test_mode(str function, dict dropout_param) except -1:
    return as_word(function, "dropout_param['mode']",
                   require_entry(function, "dropout_param", dropout_param, "mode"), "train", "test")


# What draws masks: a bit generator of NumPy's that is given, or np.random's.
cdef object dropout_generator(dict dropout_param):
    cdef object own = global_bit_generator()
    given = dropout_param.get("generator")
    if given is None:
        return own
    if not isinstance(given, np_random.BitGenerator):
        raise TypeError(f"dropout_forward: dropout_param['generator'] is {shown(given)}, expected "
                        "a bit generator of numpy.random")
    return given


# The key of Philox's stream: the seed, or when there is none, if drawn, 64 bits of the generator.
cdef object philox_key(dict dropout_param, bint drawn):
    if "seed" not in dropout_param:
        return draw_key(dropout_generator(dropout_param)) if drawn else 0
    seed = dropout_param["seed"]
    try:
        key = operator.index(seed)
    except TypeError:
        raise TypeError(f"dropout_forward: dropout_param['seed'] is {shown(seed)}, "
                        "expected an integer in [0, 2**64)") from None
    if not 0 <= key < 2**64:
        raise ValueError(f"dropout_forward: dropout_param['seed'] is {shown(key)}, "
                         "expected an integer in [0, 2**64)")
    return key


# Seeds np.random where dropout_param asks for it, as dropout in its convention does before every
# mask.
cdef int seed_stream(dict dropout_param) except -1:
    if "seed" not in dropout_param:
        return 0
    seed = dropout_param["seed"]
    try:
        np.random.seed(seed)
    except (TypeError, ValueError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(
            f"dropout_forward: dropout_param['seed'] is {shown(seed)}, "
            "expected an integer in [0, 2**32)") from None
    return 0


def dropout_forward(x, dropout_param):
    return drop_rows(x, dropout_param, 0, -1)


def dropout_rows(x, dropout_param, Py_ssize_t first, Py_ssize_t size):
    """What dropout_forward returns for rows `first` to first + len(x) - 1 of so many.

    The generator is left where dropout_forward would leave it for all of them.
    """
    if size < 0:
        raise ValueError(f"dropout_rows: size is {size}, expected at least 0")
    return drop_rows(x, dropout_param, first, size)


# That rows `first` on of an array of `size` rows can be x; and how many elements of it come before
# x, and after.  Without a size x is all of it.
cdef int count_others(ndarray x, Py_ssize_t first, Py_ssize_t size, size_t *before,
                      size_t *after) except -1:
    cdef size_t row = 1
    cdef int i
    before[0] = after[0] = 0
    if size < 0:
        return 0
    if x.ndim == 0:
        raise shape_error("dropout_rows", "x", x, "(n, d_1, ..., d_k)")
    for i in range(1, x.ndim):
        row *= x.shape[i]
    if not 0 <= first <= size - x.shape[0] or row and <size_t> size > <size_t> PTRDIFF_MAX // row:
        raise ValueError(f"dropout_rows: first is {first} and size is {size}, expected a place for "
                         f"the {x.shape[0]} rows of x")
    before[0] = first * row
    after[0] = (size - first - x.shape[0]) * row
    return 0


cdef object drop_rows(object x, object dropout_param, Py_ssize_t first, Py_ssize_t size):
    cdef dict read = as_dict("dropout_forward", "dropout_param", dropout_param)
    cdef bint test = is_test_mode("dropout_forward", read)
    cdef double p = as_number("dropout_forward", "dropout_param['p']",
                              require_entry("dropout_forward", "dropout_param", read, "p"))
    # whether p is the probability of dropping a unit, instead of keeping one
    cdef bint drop = as_word("dropout_forward", "dropout_param['convention']",
                             read.get("convention", "keep"), "keep", "drop")
    if not (0 <= p < 1 if drop else 0 < p <= 1):
        raise ValueError(f"dropout_forward: dropout_param['p'] is {p}, expected the probability of "
                         f"{'dropping a unit, in [0, 1)' if drop else 'keeping a unit, in (0, 1]'}")
    cdef bint philox = as_word("dropout_forward", "dropout_param['rng']",
                               read.get("rng", "numpy"), "numpy", "philox")
    cdef int dtype
    cdef list arrays = [x]
    read_operands("dropout_forward", ("x",), arrays, 1, &dtype)
    settle(arrays, dtype)
    cdef cnp.uint64_t key = 0
    if philox:
        key = philox_key(read, not test)
    else:
        seed_stream(read)
    if test:
        return as_base(arrays[0]), (dropout_param, None)
    if not philox:
        return draw_dropout(arrays, dropout_param, dropout_generator(read), p, drop, dtype, first,
                            size)
    settle(arrays, dtype)
    cdef ndarray xa = arrays[0]
    cdef size_t before, after
    count_others(xa, first, size, &before, &after)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray mask = fresh_like(xa, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *pmask = cnp.PyArray_DATA(mask)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef size_t n = cnp.PyArray_SIZE(out)
    cdef Watch watch
    begin_watch(&watch, n)
    with nogil:
        call_dropout_philox(dtype, pout, pmask, px, key, before, p, drop, n)
    end_watch(&watch)
    raise_noted(&watch)
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 2:
        raise ValueError("dropout_backward: cache is not the (dropout_param, mask) that "
                         "dropout_forward returns")
    cdef bint test = is_test_mode("dropout_backward",
                                  as_dict("dropout_backward", "dropout_param", cache[0]))
    cdef int dtype
    cdef list arrays
    if test:
        arrays = [dout]
        read_operands("dropout_backward", ("dout",), arrays, 1, &dtype)
        settle(arrays, dtype)
        return as_base(arrays[0])
    if cache[1] is None:
        raise ValueError("dropout_backward: cache has no mask, but its dropout_param['mode'] is "
                         "'train': was it made in test mode?")
    arrays = [dout, cache[1]]
    read_operands("dropout_backward", ("dout", "mask"), arrays, 2, &dtype)
    cdef ndarray g, mask
    while True:
        g, mask = arrays[0], arrays[1]
        if not same_shape(g, mask):
            raise shape_error("dropout_backward", "dout", g,
                              f"{(<object>mask).shape}, the shape of the mask")
        if settled(arrays, dtype):
            break
    cdef ndarray dx = fresh_like(g, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdout = cnp.PyArray_DATA(g)
    cdef void *pmask = cnp.PyArray_DATA(mask)
    cdef size_t n = cnp.PyArray_SIZE(dx)
    cdef Watch watch
    begin_watch(&watch, n)
    with nogil:
        call_dropout_apply(dtype, pdx, pdout, pmask, n)
    end_watch(&watch)
    raise_noted(&watch)
    return dx
