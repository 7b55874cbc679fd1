/* Rectified linear unit (Nair & Hinton 2010), elementwise:
 *
 *   out = x < 0 ? 0 : x        so NaN stays NaN and -0 stays -0
 *   dx  = dout * (x >= 0)      a product, so 0 * inf is NaN; the gradient passes at x == 0
 *
 * All arrays have n elements.  out may be x, dx may be dout. */

ALWAYS_INLINE vec rectify(vec x) { return (vec)(~(x < vec_set(0)) & (ivec)x); }

static void relu_forward(real *out, const real *x, size_t n) {
    EACH_VECTOR(i, n, { vec_store(out + i, rectify(vec_load(x + i, lanes)), lanes); });
}

static void relu_backward(real *dx, const real *dout, const real *x, size_t n) {
    EACH_VECTOR(i, n, {
        vec passes = (vec)((vec_load(x + i, lanes) >= vec_set(0)) & (ivec)vec_set(1));
        vec_store(dx + i, vec_load(dout + i, lanes) * passes, lanes);
    });
}
