# The affine layer, and the matrix product that it is made of.

cdef int require_batch(str function, ndarray x) except -1:
    if x.ndim == 0:
        raise shape_error(function, "x", x, "(N, d_1, ..., d_k)")
    return 0


def affine_forward(x, w, b):
    cdef int dtype = 0
    cdef ndarray xa = as_operand("affine_forward", "x", x, &dtype)
    require_batch("affine_forward", xa)
    cdef ndarray wa = as_operand("affine_forward", "w", w, &dtype)
    cdef ndarray ba = as_operand("affine_forward", "b", b, &dtype)
    cdef cnp.npy_intp N = xa.shape[0], D = count_features("affine_forward", xa)
    if wa.ndim != 2 or wa.shape[0] != D:
        raise shape_error("affine_forward", "w", wa,
                          f"({D}, M) to match x of shape {(<object>xa).shape}")
    cdef cnp.npy_intp M = wa.shape[1]
    ba = as_vector("affine_forward", "b", ba, M, resolve_dtype(&dtype), "w", wa)
    xa = as_dense(xa, dtype)
    wa = as_dense(wa, dtype)
    cdef ndarray out = fresh(2, [N, M], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_affine_forward(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(xa),
                            cnp.PyArray_DATA(wa), cnp.PyArray_DATA(ba), N, D, M, workspace)
    release_workspace(workspace)
    return out, (x, w, b)


def affine_backward(dout, cache):
    if type(cache) is not tuple or len(cache) != 3:
        raise ValueError("affine_backward: cache is not the (x, w, b) that affine_forward returns")
    cdef int dtype = 0
    cdef ndarray g = as_operand("affine_backward", "dout", dout, &dtype)
    cdef ndarray x = as_operand("affine_backward", "x", cache[0], &dtype)
    require_batch("affine_backward", x)
    cdef ndarray w = as_operand("affine_backward", "w", cache[1], &dtype)
    cdef cnp.npy_intp N = x.shape[0], D = count_features("affine_backward", x)
    if w.ndim != 2 or w.shape[0] != D:
        raise shape_error("affine_backward", "w", w,
                          f"({D}, M) to match x of shape {(<object>x).shape}")
    cdef cnp.npy_intp M = w.shape[1]
    if g.ndim != 2 or g.shape[0] != N or g.shape[1] != M:
        raise shape_error("affine_backward", "dout", g,
                          f"({N}, {M}), the shape of affine_forward's output")
    g = as_dense(g, resolve_dtype(&dtype))
    x = as_dense(x, dtype)
    w = as_dense(w, dtype)
    cdef ndarray dx = fresh_like(x, dtype)
    cdef ndarray dw = fresh_like(w, dtype)
    cdef ndarray db = fresh(1, [M], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_affine_backward(dtype, cnp.PyArray_DATA(dx), cnp.PyArray_DATA(dw),
                             cnp.PyArray_DATA(db), cnp.PyArray_DATA(g), cnp.PyArray_DATA(x),
                             cnp.PyArray_DATA(w), N, D, M, workspace)
    release_workspace(workspace)
    return dx, dw, db


# An array that rows or columns make dense, so that the product can read it as it lies.
cdef ndarray as_factor(ndarray array, int dtype):
    if array.ndim == 2 and cnp.PyArray_TYPE(array) == dtype:
        if cnp.PyArray_IS_F_CONTIGUOUS(array) and cnp.PyArray_ISALIGNED(array):
            return array
    return as_dense(array, dtype)


def product(a, b):
    """The matrix product of a (m, k) and b (k, n), as the affine layers take it: for benchmarks."""
    cdef int dtype = 0
    cdef ndarray left = as_operand("product", "a", a, &dtype)
    require_matrix("product", "a", left, "(m, k)")
    cdef ndarray right = as_operand("product", "b", b, &dtype)
    require_matrix("product", "b", right, "(k, n)")
    cdef cnp.npy_intp m = left.shape[0], k = left.shape[1], n = right.shape[1]
    if right.shape[0] != k:
        raise shape_error("product", "b", right, f"({k}, n) to match a of shape ({m}, {k})")
    left = as_factor(left, resolve_dtype(&dtype))
    right = as_factor(right, dtype)
    cdef bint left_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(left)
    cdef bint right_by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(right)
    cdef ndarray out = fresh(2, [m, n], dtype)
    cdef void *workspace = acquire_workspace()
    with nogil:
        call_product(dtype, cnp.PyArray_DATA(out), cnp.PyArray_DATA(left), left_by_columns,
                     cnp.PyArray_DATA(right), right_by_columns, m, n, k, workspace)
    release_workspace(workspace)
    return out
