/* The norm that gradients are clipped to (Pascanu et al. 2013):
 *
 *   sum_of_squares = sum_i x_i^2, in double whatever `real` is:  squares of floats never overflow
 *
 * x: (n,).  The sum of each of at most SQUARES_PARTS parts, cut by n alone, goes in blocks of
 * vectors, in the order of reduce.c; the parts' sums are added one after the other: the same bits
 * for any number of threads.
 *
 * Squares of doubles do overflow, or vanish: clip_factor then takes those of 2^k x. */
#ifndef FASTFC_OPS_NORM_C
#define FASTFC_OPS_NORM_C

#include "fastfc.h"
#include "ops/reduce.c"
#include "ops/statistics.c"
#include "simd/vec.h"
#include "split.h"

#include <math.h>
#include <stddef.h>

/* Elements of a task; the most partial sums of a call. */
enum { SQUARES_WORK = 1 << 15, SQUARES_PARTS = 64 };

typedef struct {
    const real *x;
    size_t n, parts;
    double scale;
    double sum[SQUARES_PARTS];
} squares_job;

typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));

/* The squares of scale x, in the lanes of sum. */
static void sum_squares(doubles *sum, const real *x, size_t n, double scale) {
    enum { BLOCK = SUM_BLOCK * LANES };
    if (n > BLOCK) {
        const size_t half = first_half(n, BLOCK);
        doubles second;
        sum_squares(sum, x, half, scale);
        sum_squares(&second, x + half, n - half, scale);
        *sum += second;
        return;
    }
    doubles block = {0};
    if (scale == 1)
        EACH_VECTOR(i, n, {
            doubles v = __builtin_convertvector(vec_load(x + i, lanes), doubles);
            block += v * v;
        });
    else
        EACH_VECTOR(i, n, {
            doubles v = __builtin_convertvector(vec_load(x + i, lanes), doubles) * scale;
            block += v * v;
        });
    *sum = block;
}

static void squares_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    squares_job *c = context;
    const size_t first = share_start(c->n, c->parts, part);
    doubles sum;
    sum_squares(&sum, c->x + first, share_start(c->n, c->parts, part + 1) - first, c->scale);
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) sum[i] += sum[i + half];
    c->sum[part] = sum[0];
}

static double scaled_sum_of_squares(const real *x, size_t n, double scale) {
    squares_job c = {.x = x, .n = n, .scale = scale};
    double sum = 0;
    c.parts = min_size(SQUARES_PARTS, ceil_div(n, SQUARES_WORK));
    fc_run(squares_task, &c, c.parts, NULL);
    for (size_t i = 0; i < c.parts; i++) sum += c.sum[i];
    return sum;
}

static double sum_of_squares(const real *x, size_t n) { return scaled_sum_of_squares(x, n, 1); }

/* Of `count` arrays, whose norm is to be at most clip_norm: what to multiply them by. */
static double clip_factor(fc_param *const *params, double clip_norm, size_t count) {
    double squares = 0, greatest = 0;
    for (size_t i = 0; i < count; i++) squares += sum_of_squares(params[i]->dw, params[i]->n);
    double norm = sqrt(squares);
    if (!(squares >= 0x1p-960 && squares <= 0x1.fffffffffffffp1023)) {
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < params[i]->n; j++)
                greatest = fmax(greatest, fabs((double)((const real *)params[i]->dw)[j]));
        if (greatest > 0 && isfinite(greatest)) {
            const double scale = scale_for(greatest);
            squares = 0;
            for (size_t i = 0; i < count; i++)
                squares += scaled_sum_of_squares(params[i]->dw, params[i]->n, scale);
            norm = sqrt(squares) / scale;
            if (isinf(norm)) return fmin(1, clip_norm * scale / sqrt(squares));
        }
    }
    return norm <= clip_norm ? 1 : clip_norm / norm;
}

#endif
