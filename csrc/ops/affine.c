/* Affine layer:
 *
 *   out = x w + b                              out: (N, M)   x: (N, D)   w: (D, M)   b: (M,)
 *   dx = dout w^T,  dw = x^T dout,  db = sum of dout's rows
 *
 * Results are set, not added to what was there.  workspace: FC_WORKSPACE_BYTES.  Nothing may alias.
 */
#ifndef FASTFC_OPS_AFFINE_C
#define FASTFC_OPS_AFFINE_C

#include "gemm/gemm.c"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "ops/reduce.c"
#include "simd/vec.h"

#include <stddef.h>

static void affine_forward(real *out, const real *x, const real *w, const real *b, size_t N,
                           size_t D, size_t M, void *workspace) {
    gemm(out, M, (matrix){x, D, 1, 0}, (matrix){w, M, 1, 0},
         (gemm_options){.bias = b, .looks_for_zeros = 1}, N, M, D, workspace);
}

static void affine_backward(real *dx, real *dw, real *db, const real *dout, const real *x,
                            const real *w, size_t N, size_t D, size_t M, void *workspace) {
    gemm(dx, D, (matrix){dout, M, 1, 0}, (matrix){w, 1, M, 0}, (gemm_options){0}, N, D, M,
         workspace);
    gemm(dw, M, (matrix){x, 1, D, 0}, (matrix){dout, M, 1, 0}, (gemm_options){.looks_for_zeros = 1},
         D, M, N, workspace);
    sum_rows(db, dout, N, M, M);
}

#endif
