# The affine layer, and the matrix product that it is made of.

cdef int require_batch(str function, ndarray x) except -1:
    if x.ndim == 0:
        raise shape_error(function, "x", x, "(N, d_1, ..., d_k)")
    return 0


# M of weights (D, M), where D is the number of x's features.
cdef cnp.npy_intp require_weights(str function, ndarray w, ndarray x, cnp.npy_intp D) except -1:
    if w.ndim != 2 or w.shape[0] != D:
        raise shape_error(function, "w", w, f"({D}, M) to match x of shape {(<object>x).shape}")
    return w.shape[1]


def affine_forward(x, w, b):
    cdef int dtype
    cdef list arrays = [x, w, b]
    read_operands("affine_forward", ("x", "w", "b"), arrays, 3, &dtype)
    cdef ndarray xa, wa, ba
    cdef cnp.npy_intp N, D, M
    while True:
        xa, wa, ba = arrays[0], arrays[1], arrays[2]
        require_batch("affine_forward", xa)
        N, D = xa.shape[0], count_features("affine_forward", xa)
        M = require_weights("affine_forward", wa, xa, D)
        require_vector("affine_forward", "b", ba, M, "w", wa)
        if settled(arrays, dtype):
            break
    ba = as_row(ba, M, dtype)
    cdef ndarray out = fresh(2, [N, M], dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *px = cnp.PyArray_DATA(xa)
    cdef void *pw = cnp.PyArray_DATA(wa)
    cdef void *pb = cnp.PyArray_DATA(ba)
    cdef Watch watch
    cdef void *workspace = acquire_workspace()
    begin_watch(&watch, <double> N * D * M)
    with nogil:
        call_affine_forward(dtype, pout, px, pw, pb, N, D, M, workspace)
    end_watch(&watch)
    release_workspace(workspace)
    raise_noted(&watch)
    return out, (x, w, b)


def affine_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 3:
        raise ValueError("affine_backward: cache is not the (x, w, b) that affine_forward returns")
    cdef int dtype
    cdef list arrays = [dout, cache[0], cache[1]]
    read_operands("affine_backward", ("dout", "x", "w"), arrays, 3, &dtype)
    cdef ndarray g, x, w
    cdef cnp.npy_intp N, D, M
    while True:
        g, x, w = arrays[0], arrays[1], arrays[2]
        require_batch("affine_backward", x)
        N, D = x.shape[0], count_features("affine_backward", x)
        M = require_weights("affine_backward", w, x, D)
        if g.ndim != 2 or g.shape[0] != N or g.shape[1] != M:
            raise shape_error("affine_backward", "dout", g,
                              f"({N}, {M}), the shape of affine_forward's output")
        if settled(arrays, dtype):
            break
    cdef ndarray dx = fresh_like(x, dtype)
    cdef ndarray dw = fresh_like(w, dtype)
    cdef ndarray db = fresh(1, [M], dtype)
    cdef void *pdx = cnp.PyArray_DATA(dx)
    cdef void *pdw = cnp.PyArray_DATA(dw)
    cdef void *pdb = cnp.PyArray_DATA(db)
    cdef void *pdout = cnp.PyArray_DATA(g)
    cdef void *px = cnp.PyArray_DATA(x)
    cdef void *pw = cnp.PyArray_DATA(w)
    cdef Watch watch
    cdef void *workspace = acquire_workspace()
    begin_watch(&watch, <double> 2 * N * D * M)
    with nogil:
        call_affine_backward(dtype, pdx, pdw, pdb, pdout, px, pw, N, D, M, workspace)
    end_watch(&watch)
    release_workspace(workspace)
    raise_noted(&watch)
    return dx, dw, db


# Whether rows or columns are dense, so that the product can read the matrix as it lies.
cdef bint is_factor(ndarray array, int dtype) noexcept:
    return is_dense(array, dtype) or (array.ndim == 2 and cnp.PyArray_TYPE(array) == dtype
                                      and cnp.PyArray_IS_F_CONTIGUOUS(array)
                                      and cnp.PyArray_ISALIGNED(array)
                                      and cnp.PyArray_ISNOTSWAPPED(array))


def product(a, b):
    """The matrix product of a (m, k) and b (k, n), as the affine layers take it: for benchmarks."""
    cdef int dtype
    cdef list arrays = [a, b]
    read_operands("product", ("a", "b"), arrays, 2, &dtype)
    cdef ndarray left, right
    cdef cnp.npy_intp m, k, n
    while True:
        left, right = arrays[0], arrays[1]
        require_matrix("product", "a", left, "(m, k)")
        require_matrix("product", "b", right, "(k, n)")
        m, k, n = left.shape[0], left.shape[1], right.shape[1]
        if right.shape[0] != k:
            raise shape_error("product", "b", right, f"({k}, n) to match a of shape ({m}, {k})")
        if is_factor(left, dtype) and is_factor(right, dtype) or settled(arrays, dtype):
            break
    cdef bint left_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(left)
    cdef bint right_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(right)
    cdef ndarray out = fresh(2, [m, n], dtype)
    cdef void *pout = cnp.PyArray_DATA(out)
    cdef void *pa = cnp.PyArray_DATA(left)
    cdef void *pb = cnp.PyArray_DATA(right)
    cdef Watch watch
    cdef void *workspace = acquire_workspace()
    begin_watch(&watch, <double> m * k * n)
    with nogil:
        call_product(dtype, pout, pa, left_by_columns, pb, right_by_columns, m, n, k, workspace)
    end_watch(&watch)
    release_workspace(workspace)
    raise_noted(&watch)
    return out
