/* Affine layer:
 *
 *   out = x w + b                              out: (N, M)   x: (N, D)   w: (D, M)   b: (M,)
 *   dx = dout w^T,  dw = x^T dout,  db = sum of dout's rows
 *
 * Results are set, not added to.  workspace: FC_WORKSPACE_BYTES.  Nothing may alias. */

static void affine_forward(real *out, const real *x, const real *w, const real *b, size_t N,
                           size_t D, size_t M, void *workspace) {
    gemm(out, (matrix){x, D, 1}, (matrix){w, M, 1}, (extras){.bias = b}, N, M, D, workspace);
}

static void affine_backward(real *dx, real *dw, real *db, const real *dout, const real *x,
                            const real *w, size_t N, size_t D, size_t M, void *workspace) {
    gemm(dx, (matrix){dout, M, 1}, (matrix){w, 1, M}, (extras){0}, N, D, M, workspace);
    gemm(dw, (matrix){x, 1, D}, (matrix){dout, M, 1}, (extras){0}, D, M, N, workspace);
    sum_rows(db, dout, N, M, M);
}
