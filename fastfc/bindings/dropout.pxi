# Dropout, with masks from NumPy's stream or from Philox.

cdef object dropout_mode(str function, object dropout_param):
    mode = require_entry(function, "dropout_param", dropout_param, "mode")
    if not isinstance(mode, str) or mode != "train" and mode != "test":
        raise ValueError(f"{function}: dropout_param['mode'] is {mode!r}, "
                         "expected 'train' or 'test'")
    return mode


cdef object dropout_rng(object dropout_param):
    rng = dropout_param.get("rng", "numpy")
    if not isinstance(rng, str) or rng != "numpy" and rng != "philox":
        raise ValueError(f"dropout_forward: dropout_param['rng'] is {rng!r}, "
                         "expected 'numpy' or 'philox'")
    return rng


# Whether p is the probability of dropping a unit, instead of keeping one.
cdef bint dropout_drops(object dropout_param) except -1:
    convention = dropout_param.get("convention", "keep")
    if not isinstance(convention, str) or convention != "keep" and convention != "drop":
        raise ValueError(f"dropout_forward: dropout_param['convention'] is {convention!r}, "
                         "expected 'keep' or 'drop'")
    return convention == "drop"


# Seeds NumPy's global generator, as dropout in its convention does before every mask.
cdef int seed_global(object seed) except -1:
    try:
        np.random.seed(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"dropout_forward: dropout_param['seed'] is {seed!r}, "
                          "expected an integer in [0, 2**32)") from None
    return 0


# The key of Philox's stream: the seed, or when there is none, if drawn, 64 bits of np.random.
cdef object philox_key(object dropout_param, bint drawn):
    if "seed" not in dropout_param:
        return np.random.randint(2**64, dtype=np.uint64) if drawn else 0
    try:
        key = operator.index(dropout_param["seed"])
    except TypeError:
        raise TypeError(f"dropout_forward: dropout_param['seed'] is {dropout_param['seed']!r}, "
                        "expected an integer in [0, 2**64)") from None
    if not 0 <= key < 2**64:
        raise ValueError(f"dropout_forward: dropout_param['seed'] is {key}, "
                         "expected an integer in [0, 2**64)")
    return key


def dropout_forward(x, dropout_param):
    mode = dropout_mode("dropout_forward", dropout_param)
    cdef double p = as_number("dropout_forward", "dropout_param['p']",
                              require_entry("dropout_forward", "dropout_param", dropout_param, "p"))
    cdef bint drop = dropout_drops(dropout_param)
    if not (0 <= p < 1 if drop else 0 < p <= 1):
        raise ValueError(f"dropout_forward: dropout_param['p'] is {p}, expected the probability of "
                         f"{'dropping a unit, in [0, 1)' if drop else 'keeping a unit, in (0, 1]'}")
    cdef int dtype = 0
    cdef ndarray xa = as_operand("dropout_forward", "x", x, &dtype)
    xa = as_dense(xa, resolve_dtype(&dtype))
    cdef bint philox = dropout_rng(dropout_param) == "philox"
    cdef cnp.uint64_t key = 0
    if philox:
        key = philox_key(dropout_param, mode == "train")
    elif "seed" in dropout_param:
        seed_global(dropout_param["seed"])
    if mode == "test":
        return xa, (dropout_param, None)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray mask = fresh_like(xa, dtype)
    if philox:
        with nogil:
            call_dropout_philox(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(mask),
                                cnp.PyArray_DATA(xa), key, p, drop, cnp.PyArray_SIZE(xa))
    else:
        draw_dropout(out, mask, xa, p, drop, dtype)
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 2:
        raise ValueError("dropout_backward: cache is not the (dropout_param, mask) that "
                         "dropout_forward returns")
    mode = dropout_mode("dropout_backward", cache[0])
    cdef int dtype = 0
    cdef ndarray g = as_operand("dropout_backward", "dout", dout, &dtype)
    if mode == "test":
        return as_dense(g, resolve_dtype(&dtype))
    if cache[1] is None:
        raise ValueError("dropout_backward: cache has no mask, but its dropout_param['mode'] is "
                         "'train': was it made in test mode?")
    cdef ndarray mask = as_operand("dropout_backward", "mask", cache[1], &dtype)
    if not same_shape(g, mask):
        raise shape_error("dropout_backward", "dout", g,
                          f"{(<object>mask).shape}, the shape of the mask")
    g = as_dense(g, resolve_dtype(&dtype))
    mask = as_dense(mask, dtype)
    cdef ndarray dx = fresh_like(g, dtype)
    with nogil:
        call_dropout_apply(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(g),
                           cnp.PyArray_DATA(mask), cnp.PyArray_SIZE(g))
    return dx
