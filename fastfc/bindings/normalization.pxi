# Batch and layer normalisation.  The kernels take gamma and beta of shape (D,); other shapes that
# broadcast against x (N, D), as group normalisation uses them, are composed around them.

cdef ndarray ones_row(cnp.npy_intp D, int dtype):
    cdef ndarray row = cnp.PyArray_EMPTY(1, &D, dtype, 0)
    row.fill(1)
    return row


# The gradient of what was broadcast to (N, D) from `shape`: `full`, that of the result, summed over
# what was repeated.  row: its sum over the rows where that is known.
cdef object sum_to_shape(object full, object row, tuple shape):
    if len(shape) == 2 and shape[0] != 1:
        if shape[1] == full.shape[1]:
            return full.copy()
        return full.sum(axis=1, keepdims=True)
    if row is None:  # NumPy sums pairwise along contiguous elements only
        row = np.ascontiguousarray(full.T).sum(axis=1)
    if shape and shape[len(shape) - 1] == row.shape[0]:
        return row.reshape(shape)
    return row.sum().reshape(shape)


# x_normalized, which out holds, into what gamma and beta make of it.
cdef int scale_and_shift(ndarray out, ndarray gamma, ndarray beta) except -1:
    np.multiply(out, gamma, out=out)
    np.add(out, beta, out=out)
    return 0


# What the backward pass needs beside the kernel's state: the shape of beta, unless it is (D,).
cdef dict make_cache(ndarray normalized, ndarray rstd, ndarray gamma, ndarray beta):
    cdef dict cache = {"x_normalized": normalized, "rstd": rstd, "gamma": gamma}
    if beta.ndim != 1 or beta.shape[0] != normalized.shape[1]:
        cache["beta_shape"] = (<object> beta).shape
    return cache


# Says where the kernel left running averages as they were.
cdef int warn_of_variances(int dtype, const void *rstd, cnp.npy_intp D) except -1:
    cdef bint beyond = False
    cdef cnp.npy_intp j
    if dtype == F32:
        for j in range(D):
            beyond |= (<const float *> rstd)[j] < FC_LEAST_RSTD_F32
    else:
        for j in range(D):
            beyond |= (<const double *> rstd)[j] < FC_LEAST_RSTD_F64
    if beyond:
        import warnings
        warnings.warn(
            "batchnorm_forward: the variance of a feature is beyond the largest number of its "
            "dtype; its running mean and variance stay as they were", RuntimeWarning)
    return 0


# A running average of bn_param's as a dense (D,) array; zeros where there is none yet.
cdef ndarray as_running_average(str name, object value, ndarray x, int dtype):
    cdef cnp.npy_intp D = x.shape[1]
    if value is None:
        return cnp.PyArray_ZEROS(1, &D, dtype, 0)
    cdef int given = 0
    cdef ndarray array = as_operand("batchnorm_forward", name, value, &given)
    return as_vector("batchnorm_forward", name, array, D, dtype, "x", x)


def batchnorm_forward(x, gamma, beta, bn_param):
    read = as_dict("batchnorm_forward", "bn_param", bn_param)
    mode = require_entry("batchnorm_forward", "bn_param", read, "mode")
    if mode != "train" and mode != "test":
        raise ValueError(f'Invalid forward batchnorm mode "{mode}"')
    cdef double eps = as_eps("batchnorm_forward", "bn_param['eps']",
                             (<dict> read).get("eps", 1e-5))
    cdef double momentum = as_momentum("batchnorm_forward", "bn_param['momentum']",
                                       (<dict> read).get("momentum", 0.9))
    cdef int dtype = 0
    cdef ndarray xa = as_operand("batchnorm_forward", "x", x, &dtype)
    require_matrix("batchnorm_forward", "x", xa, "(N, D)")
    cdef ndarray ga = as_operand("batchnorm_forward", "gamma", gamma, &dtype)
    cdef ndarray ba = as_operand("batchnorm_forward", "beta", beta, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    require_broadcast("batchnorm_forward", "gamma", ga, N, D, "x", xa)
    require_broadcast("batchnorm_forward", "beta", ba, N, D, "x", xa)
    ga, ba = as_dense(ga, resolve_dtype(&dtype)), as_dense(ba, dtype)
    cdef bint composed = not (is_row(ga) and is_row(ba))
    cdef ndarray scale = ones_row(D, dtype) if composed else as_row(ga, D, dtype)
    cdef ndarray shift = cnp.PyArray_ZEROS(1, &D, dtype, 0) if composed else as_row(ba, D, dtype)
    cdef ndarray mean = as_running_average("bn_param['running_mean']",
                                           (<dict> read).get("running_mean"), xa, dtype)
    cdef ndarray var = as_running_average("bn_param['running_var']",
                                          (<dict> read).get("running_var"), xa, dtype)
    cdef ndarray out, normalized, rstd, next_mean, next_var
    xa = as_dense(xa, dtype)
    if mode == "test":
        out = fresh_like(xa, dtype)
        with nogil:
            call_batchnorm_inference(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(xa),
                                     cnp.PyArray_DATA(scale), cnp.PyArray_DATA(shift),
                                     cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var), eps, N, D)
        if composed:
            scale_and_shift(out, ga, ba)
        bn_param["running_mean"] = mean
        bn_param["running_var"] = var
        return out, None
    if N == 0:
        raise shape_error("batchnorm_forward", "x", xa, "at least one row in train mode")
    out = fresh_like(xa, dtype)
    normalized = fresh_like(xa, dtype)
    rstd = fresh(1, &D, dtype)
    next_mean = fresh(1, &D, dtype)
    next_var = fresh(1, &D, dtype)
    with nogil:
        call_batchnorm_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(normalized),
                               cnp.PyArray_DATA(rstd), cnp.PyArray_DATA(next_mean),
                               cnp.PyArray_DATA(next_var), cnp.PyArray_DATA(xa),
                               cnp.PyArray_DATA(scale), cnp.PyArray_DATA(shift),
                               cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var), eps, momentum, N, D)
    if composed:
        scale_and_shift(out, ga, ba)
    warn_of_variances(dtype, cnp.PyArray_DATA(rstd), D)
    bn_param["running_mean"] = next_mean
    bn_param["running_var"] = next_var
    return out, make_cache(normalized, rstd, ga, ba)


def layernorm_forward(x, gamma, beta, ln_param):
    read = as_dict("layernorm_forward", "ln_param", ln_param)
    cdef double eps = as_eps("layernorm_forward", "ln_param['eps']",
                             (<dict> read).get("eps", 1e-5))
    cdef int dtype = 0
    cdef ndarray xa = as_operand("layernorm_forward", "x", x, &dtype)
    require_matrix("layernorm_forward", "x", xa, "(N, D)")
    cdef ndarray ga = as_operand("layernorm_forward", "gamma", gamma, &dtype)
    cdef ndarray ba = as_operand("layernorm_forward", "beta", beta, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    if D == 0:
        raise shape_error("layernorm_forward", "x", xa, "(N, D) with D at least 1")
    require_broadcast("layernorm_forward", "gamma", ga, N, D, "x", xa)
    require_broadcast("layernorm_forward", "beta", ba, N, D, "x", xa)
    ga, ba = as_dense(ga, resolve_dtype(&dtype)), as_dense(ba, dtype)
    cdef bint composed = not (is_row(ga) and is_row(ba))
    cdef ndarray scale = ones_row(D, dtype) if composed else as_row(ga, D, dtype)
    cdef ndarray shift = cnp.PyArray_ZEROS(1, &D, dtype, 0) if composed else as_row(ba, D, dtype)
    xa = as_dense(xa, dtype)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray normalized = fresh_like(xa, dtype)
    cdef ndarray rstd = fresh(1, &N, dtype)
    with nogil:
        call_layernorm_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(normalized),
                               cnp.PyArray_DATA(rstd), cnp.PyArray_DATA(xa),
                               cnp.PyArray_DATA(scale), cnp.PyArray_DATA(shift), eps, N, D)
    if composed:
        scale_and_shift(out, ga, ba)
    return out, make_cache(normalized, rstd, ga, ba)


cdef ndarray cached_operand(str function, object cache, str key, int *dtype):
    return as_operand(function, f"cache[{key!r}]", require_entry(function, "cache", cache, key),
                      dtype)


# Both backward passes take a cache of the same keys; rstd is one for each row or for each column.
cdef tuple normalization_backward(str function, object dout, object cache, bint by_rows):
    cdef int dtype = 0
    cdef ndarray g = as_operand(function, "dout", dout, &dtype)
    cdef ndarray normalized = cached_operand(function, cache, "x_normalized", &dtype)
    cdef ndarray rstd = cached_operand(function, cache, "rstd", &dtype)
    cdef ndarray gamma = cached_operand(function, cache, "gamma", &dtype)
    require_matrix(function, "cache['x_normalized']", normalized, "(N, D)")
    cdef cnp.npy_intp N = normalized.shape[0], D = normalized.shape[1]
    if by_rows and D == 0:
        raise shape_error(function, "cache['x_normalized']", normalized,
                          "(N, D) with D at least 1")
    if not same_shape(g, normalized):
        raise shape_error(function, "dout", g, f"({N}, {D}), the shape of the forward pass's out")
    rstd = as_vector(function, "cache['rstd']", rstd, N if by_rows else D, resolve_dtype(&dtype),
                     "dout", g)
    require_broadcast(function, "cache['gamma']", gamma, N, D, "dout", g)
    gamma = as_dense(gamma, dtype)
    g = as_dense(g, dtype)
    normalized = as_dense(normalized, dtype)
    cdef bint by_element = not is_row(gamma)
    cdef ndarray scale = ones_row(D, dtype) if by_element else as_row(gamma, D, dtype)
    cdef ndarray scaled = np.multiply(g, gamma) if by_element else g
    cdef ndarray dx = fresh_like(g, dtype)
    cdef ndarray dgamma = fresh(1, &D, dtype)
    cdef ndarray dbeta = fresh(1, &D, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdgamma = cnp.PyArray_DATA(dgamma)
    cdef void *pdbeta = cnp.PyArray_DATA(dbeta)
    cdef void *pdout = cnp.PyArray_DATA(scaled)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *pgamma = cnp.PyArray_DATA(scale)
    cdef void *workspace = acquire_workspace()
    with nogil:
        if by_rows:
            call_layernorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D, workspace)
        else:
            call_batchnorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D)
    release_workspace(workspace)
    cdef object beta_shape = (<dict> cache).get("beta_shape")
    if beta_shape is None and gamma.ndim == 1 and gamma.shape[0] == D:
        return dx, dgamma, dbeta
    row = None if by_element else dbeta  # of gamma * dout otherwise
    product = np.multiply(g, normalized) if by_element else None
    return (
        dx,
        sum_to_shape(product, None if by_element else dgamma, (<object> gamma).shape),
        sum_to_shape(g, row, (D,) if beta_shape is None else beta_shape),
    )


def batchnorm_backward(dout, cache):
    if not isinstance(cache, dict):
        raise ValueError("batchnorm_backward: cache is not what batchnorm_forward returns "
                         "in train mode (test mode keeps none)")
    return normalization_backward("batchnorm_backward", dout, cache, False)


def layernorm_backward(dout, cache):
    return normalization_backward("layernorm_backward", dout, cache, True)
