# Batch and layer normalisation.

# What is stored: a (D,) array.
cdef object as_stored(ndarray array, cnp.npy_intp D):
    array = as_base(array)
    return array if array.ndim == 1 else array.reshape(D)


# A running average of bn_param's, of D numbers; zeros where there is none yet.
cdef ndarray as_running_average(str name, object array, ndarray x, int dtype):
    cdef cnp.npy_intp D = x.shape[1]
    if array is None:
        return cnp.PyArray_ZEROS(1, &D, dtype, 0)
    return as_vector("batchnorm_forward", name, array, D, dtype, "x", x)


def batchnorm_forward(x, gamma, beta, bn_param):
    cdef dict read = as_dict("batchnorm_forward", "bn_param", bn_param)
    mode = require_entry("batchnorm_forward", "bn_param", read, "mode")
    cdef int test = find_word(mode, "train", "test")
    if test < 0:
        raise ValueError('Invalid forward batchnorm mode '
                         f'"{mode if isinstance(mode, str) else shown(mode)}"')
    cdef double eps = as_number("batchnorm_forward", "bn_param['eps']", read.get("eps", 1e-5))
    cdef double momentum = as_number("batchnorm_forward", "bn_param['momentum']",
                                     read.get("momentum", 0.9))
    cdef int dtype
    cdef list arrays = [x, gamma, beta, read.get("running_mean"), read.get("running_var")]
    read_operands("batchnorm_forward", ("x", "gamma", "beta", "bn_param['running_mean']",
                                        "bn_param['running_var']"), arrays, 3, &dtype)
    cdef ndarray xa = arrays[0], ga = arrays[1], ba = arrays[2]
    require_matrix("batchnorm_forward", "x", xa, "(N, D)")
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    ga = as_vector("batchnorm_forward", "gamma", ga, D, dtype, "x", xa)
    ba = as_vector("batchnorm_forward", "beta", ba, D, dtype, "x", xa)
    cdef ndarray mean = as_running_average("bn_param['running_mean']", arrays[3], xa, dtype)
    cdef ndarray var = as_running_average("bn_param['running_var']", arrays[4], xa, dtype)
    cdef ndarray out, normalized, rstd, next_mean, next_var
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef void *pgamma = cnp.PyArray_DATA(ga)
    cdef void *pbeta = cnp.PyArray_DATA(ba)
    cdef void *pmean = cnp.PyArray_DATA(mean)
    cdef void *pvar = cnp.PyArray_DATA(var)
    if not test and N == 0:
        raise shape_error("batchnorm_forward", "x", xa, "at least one row in train mode")
    out = fresh_like(xa, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    if test:
        with nogil:
            call_batchnorm_inference(dtype, pout, px, pgamma, pbeta, pmean, pvar, eps, N, D)
        mean, var = as_stored(mean, D), as_stored(var, D)
        bn_param["running_mean"] = mean
        bn_param["running_var"] = var
        return out, None
    normalized = fresh_like(out, dtype)
    rstd = fresh(1, &D, dtype)
    next_mean = fresh(1, &D, dtype)
    next_var = fresh(1, &D, dtype)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *pnext_mean = cnp.PyArray_DATA(next_mean)
    cdef void *pnext_var = cnp.PyArray_DATA(next_var)
    with nogil:
        call_batchnorm_forward(dtype, pout, pnormalized, prstd, pnext_mean, pnext_var, px, pgamma,
                               pbeta, pmean, pvar, eps, momentum, N, D)
    ga = as_stored(ga, D)
    bn_param["running_mean"] = next_mean
    bn_param["running_var"] = next_var
    return out, {"x_normalized": normalized, "rstd": rstd, "gamma": ga}


def layernorm_forward(x, gamma, beta, ln_param):
    cdef dict read = as_dict("layernorm_forward", "ln_param", ln_param)
    cdef double eps = as_number("layernorm_forward", "ln_param['eps']", read.get("eps", 1e-5))
    cdef int dtype
    cdef list arrays = [x, gamma, beta]
    read_operands("layernorm_forward", ("x", "gamma", "beta"), arrays, 3, &dtype)
    cdef ndarray xa = arrays[0], ga = arrays[1], ba = arrays[2]
    require_matrix("layernorm_forward", "x", xa, "(N, D)")
    cdef cnp.npy_intp N = xa.shape[0], D = xa.shape[1]
    if D == 0:
        raise shape_error("layernorm_forward", "x", xa, "(N, D) with D at least 1")
    ga = as_vector("layernorm_forward", "gamma", ga, D, dtype, "x", xa)
    ba = as_vector("layernorm_forward", "beta", ba, D, dtype, "x", xa)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray normalized = fresh_like(out, dtype)
    cdef ndarray rstd = fresh(1, &N, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef void *pgamma = cnp.PyArray_DATA(ga)
    cdef void *pbeta = cnp.PyArray_DATA(ba)
    with nogil:
        call_layernorm_forward(dtype, pout, pnormalized, prstd, px, pgamma, pbeta, eps, N, D)
    return out, {"x_normalized": normalized, "rstd": rstd, "gamma": as_stored(ga, D)}


# Both backward passes take a cache of the same keys; rstd is one for each row or for each column.
cdef tuple normalization_backward(str function, object dout, dict cache, bint by_rows):
    cdef int dtype
    cdef list arrays = [dout]
    for key in ("x_normalized", "rstd", "gamma"):
        if key not in cache:
            raise ValueError(f"{function}: cache has no key {key!r}, expected what "
                             f"{function.replace('backward', 'forward')} returns")
        arrays.append(cache[key])
    read_operands(function, ("dout", "cache['x_normalized']", "cache['rstd']", "cache['gamma']"),
                  arrays, 4, &dtype)
    cdef ndarray g = arrays[0], normalized = arrays[1], rstd = arrays[2], gamma = arrays[3]
    require_matrix(function, "cache['x_normalized']", normalized, "(N, D)")
    cdef cnp.npy_intp N = normalized.shape[0], D = normalized.shape[1]
    if by_rows and D == 0:
        raise shape_error(function, "cache['x_normalized']", normalized,
                          "(N, D) with D at least 1")
    if not same_shape(g, normalized):
        raise shape_error(function, "dout", g, f"({N}, {D}), the shape of the forward pass's out")
    rstd = as_vector(function, "cache['rstd']", rstd, N if by_rows else D, dtype, "dout", g)
    gamma = as_vector(function, "cache['gamma']", gamma, D, dtype, "dout", g)
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
    if not isinstance(cache, (dict, Mapping)):
        raise ValueError(f"batchnorm_backward: cache is {shown(cache)}, expected what "
                         "batchnorm_forward returns in train mode (test mode keeps none)")
    return normalization_backward("batchnorm_backward", dout,
                                  as_dict("batchnorm_backward", "cache", cache), False)


def layernorm_backward(dout, cache):
    return normalization_backward("layernorm_backward", dout,
                                  as_dict("layernorm_backward", "cache", cache), True)
