# Batch and layer normalisation.

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
    cdef double eps = as_number("batchnorm_forward", "bn_param['eps']",
                                (<dict> read).get("eps", 1e-5))
    cdef double momentum = as_number("batchnorm_forward", "bn_param['momentum']",
                                     (<dict> read).get("momentum", 0.9))
    cdef int dtype = 0
    cdef ndarray xa = as_operand("batchnorm_forward", "x", x, &dtype)
    require_matrix("batchnorm_forward", "x", xa, "(N, D)")
    cdef ndarray ga = as_operand("batchnorm_forward", "gamma", gamma, &dtype)
    cdef ndarray ba = as_operand("batchnorm_forward", "beta", beta, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    ga = as_vector("batchnorm_forward", "gamma", ga, D, resolve_dtype(&dtype), "x", xa)
    ba = as_vector("batchnorm_forward", "beta", ba, D, dtype, "x", xa)
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
                                     cnp.PyArray_DATA(ga), cnp.PyArray_DATA(ba),
                                     cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var), eps, N, D)
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
                               cnp.PyArray_DATA(ga), cnp.PyArray_DATA(ba), cnp.PyArray_DATA(mean),
                               cnp.PyArray_DATA(var), eps, momentum, N, D)
    bn_param["running_mean"] = next_mean
    bn_param["running_var"] = next_var
    return out, {"x_normalized": normalized, "rstd": rstd, "gamma": ga}


def layernorm_forward(x, gamma, beta, ln_param):
    read = as_dict("layernorm_forward", "ln_param", ln_param)
    cdef double eps = as_number("layernorm_forward", "ln_param['eps']",
                                (<dict> read).get("eps", 1e-5))
    cdef int dtype = 0
    cdef ndarray xa = as_operand("layernorm_forward", "x", x, &dtype)
    require_matrix("layernorm_forward", "x", xa, "(N, D)")
    cdef ndarray ga = as_operand("layernorm_forward", "gamma", gamma, &dtype)
    cdef ndarray ba = as_operand("layernorm_forward", "beta", beta, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    if D == 0:
        raise shape_error("layernorm_forward", "x", xa, "(N, D) with D at least 1")
    ga = as_vector("layernorm_forward", "gamma", ga, D, resolve_dtype(&dtype), "x", xa)
    ba = as_vector("layernorm_forward", "beta", ba, D, dtype, "x", xa)
    xa = as_dense(xa, dtype)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray normalized = fresh_like(xa, dtype)
    cdef ndarray rstd = fresh(1, &N, dtype)
    with nogil:
        call_layernorm_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(normalized),
                               cnp.PyArray_DATA(rstd), cnp.PyArray_DATA(xa), cnp.PyArray_DATA(ga),
                               cnp.PyArray_DATA(ba), eps, N, D)
    return out, {"x_normalized": normalized, "rstd": rstd, "gamma": ga}


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
    gamma = as_vector(function, "cache['gamma']", gamma, D, dtype, "dout", g)
    g = as_dense(g, dtype)
    normalized = as_dense(normalized, dtype)
    cdef ndarray dx = fresh_like(g, dtype)
    cdef ndarray dgamma = fresh(1, &D, dtype)
    cdef ndarray dbeta = fresh(1, &D, dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdgamma = cnp.PyArray_DATA(dgamma)
    cdef void *pdbeta = cnp.PyArray_DATA(dbeta)
    cdef void *pdout = cnp.PyArray_DATA(g)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *pgamma = cnp.PyArray_DATA(gamma)
    cdef void *workspace = acquire_workspace()
    with nogil:
        if by_rows:
            call_layernorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D, workspace)
        else:
            call_batchnorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D)
    release_workspace(workspace)
    return dx, dgamma, dbeta


def batchnorm_backward(dout, cache):
    if not isinstance(cache, dict):
        raise ValueError("batchnorm_backward: cache is not what batchnorm_forward returns "
                         "in train mode (test mode keeps none)")
    return normalization_backward("batchnorm_backward", dout, cache, False)


def layernorm_backward(dout, cache):
    return normalization_backward("layernorm_backward", dout, cache, True)
