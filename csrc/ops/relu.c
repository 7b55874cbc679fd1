/* Rectified linear unit (Nair & Hinton 2010), elementwise:
 *
 *   out = x < 0 ? 0 : x        so NaN stays NaN and -0 stays -0
 *   dx  = dout * (x >= 0)      a product, so 0 * inf is NaN; the gradient passes at x == 0
 *
 * All arrays have n elements.  out may be x, dx may be dout.  Long arrays are cut into tasks. */
#ifndef FASTFC_OPS_RELU_C
#define FASTFC_OPS_RELU_C

#include "ops/elementwise.c"
#include "simd/vec.h"

#include <stddef.h>

ALWAYS_INLINE vec rectify(vec x) { return (vec)(~vec_negative(x) & (ivec)x); }

static void relu_forward_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const elementwise_job *c = context;
    EACH_VECTOR_OF_PART(i, c, part,
                        { vec_store(c->out + i, rectify(vec_load(c->a + i, lanes)), lanes); });
}

static void relu_forward(real *out, const real *x, size_t n) {
    run_elementwise(relu_forward_task, out, x, NULL, n);
}

static void relu_backward_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const elementwise_job *c = context;
    EACH_VECTOR_OF_PART(i, c, part, {
        vec passes = (vec)((vec_load(c->b + i, lanes) >= vec_set(0)) & (ivec)vec_set(1));
        vec_store(c->out + i, vec_load(c->a + i, lanes) * passes, lanes);
    });
}

static void relu_backward(real *dx, const real *dout, const real *x, size_t n) {
    run_elementwise(relu_backward_task, dx, dout, x, n);
}

#endif
