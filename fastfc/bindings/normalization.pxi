# Batch and layer normalisation.  The kernels take gamma and beta of shape (D,); other shapes that
# broadcast against x (N, D), as group normalisation uses them, are composed around them.

cdef ndarray constant_row(double number, cnp.npy_intp D, int dtype):
    cdef ndarray row = fresh(1, &D, dtype)
    cdef void *numbers = cnp.PyArray_DATA(row)
    cdef cnp.npy_intp i
    for i in range(D):
        set_number(numbers, i, number, dtype)
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
    cdef dict cache = {"x_normalized": normalized, "rstd": rstd, "gamma": as_base(gamma)}
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


# What is stored: a (D,) array.
cdef object as_stored(ndarray array, cnp.npy_intp D):
    array = as_base(array)
    return array if array.ndim == 1 else array.reshape(D)


# A running average of bn_param's, which require_vector has passed, or None: zeros.
cdef ndarray as_running_average(object array, cnp.npy_intp D, int dtype):
    return constant_row(0, D, dtype) if array is None else as_row(array, D, dtype)


# Both running averages into bn_param, or neither where it is somebody's own mapping and fails.
cdef int store_averages(object bn_param, object mean, object var) except -1:
    cdef bint there = "running_mean" in bn_param
    old = bn_param["running_mean"] if there else None
    bn_param["running_mean"] = mean
    try:
        bn_param["running_var"] = var
    except BaseException:
        if there:
            bn_param["running_mean"] = old
        else:
            del bn_param["running_mean"]
        raise
    return 0


def batchnorm_forward(x, gamma, beta, bn_param):
    cdef dict read = as_writable("batchnorm_forward", "bn_param", bn_param)
    mode = require_entry("batchnorm_forward", "bn_param", read, "mode")
    cdef int test = find_word(mode, "train", "test")
    if test < 0:
        raise ValueError('Invalid forward batchnorm mode '
                         f'"{mode if isinstance(mode, str) else shown(mode)}"')
    cdef double eps = as_eps("batchnorm_forward", "bn_param['eps']", read.get("eps", 1e-5))
    cdef double momentum = as_momentum("batchnorm_forward", "bn_param['momentum']",
                                       read.get("momentum", 0.9))
    cdef int dtype
    cdef list arrays = [x, gamma, beta, read.get("running_mean"), read.get("running_var")]
    read_operands("batchnorm_forward", ("x", "gamma", "beta", "bn_param['running_mean']",
                                        "bn_param['running_var']"), arrays, 3, &dtype)
    cdef ndarray xa, ga, ba
    cdef cnp.npy_intp N, D
    while True:
        xa, ga, ba = arrays[0], arrays[1], arrays[2]
        require_matrix("batchnorm_forward", "x", xa, "(N, D)")
        N, D = xa.shape[0], xa.shape[1]
        require_broadcast("batchnorm_forward", "gamma", ga, N, D, "x", xa)
        require_broadcast("batchnorm_forward", "beta", ba, N, D, "x", xa)
        if arrays[3] is not None:
            require_vector("batchnorm_forward", "bn_param['running_mean']", arrays[3], D, "x", xa)
        if arrays[4] is not None:
            require_vector("batchnorm_forward", "bn_param['running_var']", arrays[4], D, "x", xa)
        if not test and N == 0:
            raise shape_error("batchnorm_forward", "x", xa, "at least one row in train mode")
        if settled(arrays, dtype):
            break
    cdef bint composed = not (is_row(ga) and is_row(ba))
    cdef ndarray scale = constant_row(1, D, dtype) if composed else as_row(ga, D, dtype)
    cdef ndarray shift = constant_row(0, D, dtype) if composed else as_row(ba, D, dtype)
    cdef ndarray mean = as_running_average(arrays[3], D, dtype)
    cdef ndarray var = as_running_average(arrays[4], D, dtype)
    cdef ndarray out, normalized, rstd, next_mean, next_var
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef void *pgamma = cnp.PyArray_DATA(scale)
    cdef void *pbeta = cnp.PyArray_DATA(shift)
    cdef void *pmean = cnp.PyArray_DATA(mean)
    cdef void *pvar = cnp.PyArray_DATA(var)
    out = fresh_like(xa, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef Watch watch
    if test:
        begin_watch(&watch, <double> N * D)
        with nogil:
            call_batchnorm_inference(dtype, pout, px, pgamma, pbeta, pmean, pvar, eps, N, D)
        end_watch(&watch)
        raise_noted(&watch)
        if composed:
            scale_and_shift(out, ga, ba)
        mean, var = as_stored(mean, D), as_stored(var, D)
        store_averages(bn_param, mean, var)
        return out, None
    normalized = fresh_like(out, dtype)
    rstd = fresh(1, &D, dtype)
    next_mean = fresh(1, &D, dtype)
    next_var = fresh(1, &D, dtype)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *pnext_mean = cnp.PyArray_DATA(next_mean)
    cdef void *pnext_var = cnp.PyArray_DATA(next_var)
    begin_watch(&watch, <double> N * D)
    with nogil:
        call_batchnorm_forward(dtype, pout, pnormalized, prstd, pnext_mean, pnext_var, px, pgamma,
                               pbeta, pmean, pvar, eps, momentum, N, D)
    end_watch(&watch)
    raise_noted(&watch)
    if composed:
        scale_and_shift(out, ga, ba)
    warn_of_variances(dtype, prstd, D)
    store_averages(bn_param, next_mean, next_var)
    return out, make_cache(normalized, rstd, ga, ba)


def layernorm_forward(x, gamma, beta, ln_param):
    cdef dict read = as_dict("layernorm_forward", "ln_param", ln_param)
    cdef double eps = as_eps("layernorm_forward", "ln_param['eps']", read.get("eps", 1e-5))
    cdef int dtype
    cdef list arrays = [x, gamma, beta]
    read_operands("layernorm_forward", ("x", "gamma", "beta"), arrays, 3, &dtype)
    cdef ndarray xa, ga, ba
    cdef cnp.npy_intp N, D
    while True:
        xa, ga, ba = arrays[0], arrays[1], arrays[2]
        require_matrix("layernorm_forward", "x", xa, "(N, D)")
        N, D = xa.shape[0], xa.shape[1]
        if D == 0:
            raise shape_error("layernorm_forward", "x", xa, "(N, D) with D at least 1")
        require_broadcast("layernorm_forward", "gamma", ga, N, D, "x", xa)
        require_broadcast("layernorm_forward", "beta", ba, N, D, "x", xa)
        if settled(arrays, dtype):
            break
    cdef bint composed = not (is_row(ga) and is_row(ba))
    cdef ndarray scale = constant_row(1, D, dtype) if composed else as_row(ga, D, dtype)
    cdef ndarray shift = constant_row(0, D, dtype) if composed else as_row(ba, D, dtype)
    cdef ndarray out = fresh_like(xa, dtype)
    cdef ndarray normalized = fresh_like(out, dtype)
    cdef ndarray rstd = fresh(1, &N, dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef void *pgamma = cnp.PyArray_DATA(scale)
    cdef void *pbeta = cnp.PyArray_DATA(shift)
    cdef Watch watch
    begin_watch(&watch, <double> N * D)
    with nogil:
        call_layernorm_forward(dtype, pout, pnormalized, prstd, px, pgamma, pbeta, eps, N, D)
    end_watch(&watch)
    raise_noted(&watch)
    if composed:
        scale_and_shift(out, ga, ba)
    return out, make_cache(normalized, rstd, ga, ba)


# That shape, of a cache, is one that beta can have had.
cdef int require_beta_shape(str function, object shape, cnp.npy_intp N, cnp.npy_intp D) except -1:
    cdef Py_ssize_t i, ndim
    cdef bint fits = type(shape) is tuple and len(<tuple> shape) <= 2
    if fits:
        ndim = len(<tuple> shape)
        for i in range(ndim):
            length = (<tuple> shape)[i]
            fits &= type(length) is int and (length == 1 or length == (D if i == ndim - 1 else N))
    if fits:
        return 0
    raise ValueError(f"{function}: cache['beta_shape'] is {shown(shape)}, expected the shape of "
                     f"beta, which broadcasts to ({N}, {D})")


# a (N, D) times b, (N, D) or (N, 1), both dense.
cdef ndarray multiply(ndarray a, ndarray b, int dtype):
    cdef ndarray product = fresh_like(a, dtype)
    cdef cnp.npy_intp N = a.shape[0], D = a.shape[1], i, j
    cdef bint wide = b.shape[1] == D
    cdef void *pc = cnp.PyArray_DATA(product)
    cdef void *pa = cnp.PyArray_DATA(a)
    cdef void *pb = cnp.PyArray_DATA(b)
    for i in range(N):
        for j in range(D):
            if dtype == F32:
                (<float *> pc)[i * D + j] = (<float *> pa)[i * D + j] * (<float *> pb)[
                    i * D + j if wide else i]
            else:
                (<double *> pc)[i * D + j] = (<double *> pa)[i * D + j] * (<double *> pb)[
                    i * D + j if wide else i]
    return product


# Both backward passes take a cache of the same keys; rstd is one for each row or for each column.
cdef tuple normalization_backward(str function, object dout, dict cache, bint by_rows):
    cdef int dtype
    cdef list arrays = [dout]
    beta_shape = cache.get("beta_shape")
    for key in ("x_normalized", "rstd", "gamma"):
        if key not in cache:
            raise ValueError(f"{function}: cache has no key {key!r}, expected what "
                             f"{function.replace('backward', 'forward')} returns")
        arrays.append(cache[key])
    read_operands(function, ("dout", "cache['x_normalized']", "cache['rstd']", "cache['gamma']"),
                  arrays, 4, &dtype)
    cdef ndarray g, normalized, rstd, gamma
    cdef cnp.npy_intp N, D
    while True:
        g, normalized, rstd, gamma = arrays[0], arrays[1], arrays[2], arrays[3]
        require_matrix(function, "cache['x_normalized']", normalized, "(N, D)")
        N, D = normalized.shape[0], normalized.shape[1]
        if by_rows and D == 0:
            raise shape_error(function, "cache['x_normalized']", normalized,
                              "(N, D) with D at least 1")
        if not same_shape(g, normalized):
            raise shape_error(function, "dout", g,
                              f"({N}, {D}), the shape of the forward pass's out")
        require_vector(function, "cache['rstd']", rstd, N if by_rows else D, "dout", g)
        if beta_shape is not None:
            require_beta_shape(function, beta_shape, N, D)
        require_broadcast(function, "cache['gamma']", gamma, N, D, "dout", g)
        if settled(arrays, dtype):
            break
    rstd = as_row(rstd, N if by_rows else D, dtype)
    cdef bint by_element = not is_row(gamma)
    cdef ndarray scale = gamma, scaled = g
    if by_element:
        scale, scaled = constant_row(1, D, dtype), multiply(g, gamma, dtype)
    else:
        scale = as_row(gamma, D, dtype)
    cdef ndarray dx = fresh_like(g, dtype)
    cdef ndarray dgamma = fresh(1, &D, dtype)
    cdef ndarray dbeta = fresh(1, &D, dtype)
    cdef bint plain = gamma.ndim == 1 and gamma.shape[0] == D
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdgamma = cnp.PyArray_DATA(dgamma)
    cdef void *pdbeta = cnp.PyArray_DATA(dbeta)
    cdef void *pdout = cnp.PyArray_DATA(scaled)
    cdef void *pnormalized = cnp.PyArray_DATA(normalized)
    cdef void *prstd = cnp.PyArray_DATA(rstd)
    cdef void *pgamma = cnp.PyArray_DATA(scale)
    cdef void *workspace = acquire_workspace()
    cdef Watch watch
    begin_watch(&watch, <double> N * D)
    with nogil:
        if by_rows:
            call_layernorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D, workspace)
        else:
            call_batchnorm_backward(dtype, pdx, pdgamma, pdbeta, pdout, pnormalized, prstd, pgamma,
                                    N, D)
    end_watch(&watch)
    release_workspace(workspace)
    raise_noted(&watch)
    if beta_shape is None and plain:
        return dx, dgamma, dbeta
    row = None if by_element else dbeta  # of gamma * dout otherwise
    product = np.multiply(g, normalized) if by_element else None
    return (
        dx,
        sum_to_shape(product, None if by_element else dgamma, (<object> gamma).shape),
        sum_to_shape(as_base(g), row, (D,) if beta_shape is None else beta_shape),
    )


def batchnorm_backward(dout, cache):
    if not isinstance(cache, (dict, Mapping)):
        raise ValueError(f"batchnorm_backward: cache is {shown(cache)}, expected what "
                         "batchnorm_forward returns in train mode (test mode keeps none)")
    return normalization_backward("batchnorm_backward", dout,
                                  as_dict("batchnorm_backward", "cache", cache), False)


def layernorm_backward(dout, cache):
    return normalization_backward("layernorm_backward", dout,
                                  as_dict("layernorm_backward", "cache", cache), True)
