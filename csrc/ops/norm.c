/* The norm that gradients are clipped to (Pascanu et al. 2013):
 *
 *   sum_of_squares = sum_i x_i^2, in double whatever `real` is:  squares of floats never overflow
 *
 * x: (n,).  x is cut into at most SQUARES_PARTS parts, by n alone; each part is summed in one
 * order, and the parts' sums in another that is fixed: the same bits for any number of threads. */
#ifndef FASTFC_OPS_NORM_C
#define FASTFC_OPS_NORM_C

#include "fastfc.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Elements of a task; the most partial sums of a call. */
enum { SQUARES_WORK = 1 << 15, SQUARES_PARTS = 64 };

typedef struct {
    const real *x;
    size_t n, parts;
    double sum[SQUARES_PARTS];
} squares_job;

static void squares_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
    squares_job *c = context;
    const size_t first = share_start(c->n, c->parts, part);
    const size_t n = share_start(c->n, c->parts, part + 1) - first;
    const real *x = c->x + first;
    doubles sum = {0};
    EACH_VECTOR(i, n, {
        doubles v = __builtin_convertvector(vec_load(x + i, lanes), doubles);
        sum += v * v;
    });
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) sum[i] += sum[i + half];
    c->sum[part] = sum[0];
}

static double sum_of_squares(const real *x, size_t n) {
    squares_job c = {.x = x, .n = n, .parts = min_size(SQUARES_PARTS, ceil_div(n, SQUARES_WORK))};
    double sum = 0;
    fc_run(squares_task, &c, c.parts, NULL);
    for (size_t i = 0; i < c.parts; i++) sum += c.sum[i];
    return sum;
}

#endif
