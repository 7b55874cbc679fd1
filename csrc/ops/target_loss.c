/* Losses of scores x (N, M) and targets y (N, M), which are summed over a row; loss_rows.c says how
 * rows are averaged.  Of one element, with r = x - y:
 *
 *   squared_error   l = r^2 / 2                              dl/dx = r
 *   absolute_error  l = |r|                                  dl/dx = sign(r)
 *   huber           l = r^2 / 2              if |r| <= d     dl/dx = r             (Huber 1964)
 *                       d (|r| - d / 2)      else                    d sign(r)
 *   quantile        l = (1 - q) r  if r > 0, else -q r       dl/dx = 1 - q if r > 0, -q if r < 0, 0
 *                                                                            (Koenker & Bassett
 * 1978) poisson         l = exp(x) - y x + (y log y - y)         dl/dx = exp(x) - y,   y >= 0
 *   logistic        l = log(1 + exp(x)) - z x                dl/dx = 1 / (1 + exp(-x)) - z
 *                   z = (1 - s) y + s / 2,  y in [0, 1],  s = label_smoothing
 *
 * Of poisson, x is the logarithm of a rate, and what does not depend on it makes the best fit 0.
 * Logistic takes exponentials of -|x| alone, e = exp(-|x|):
 *
 *   l = log(1 + e) + (x (1 - z) if x >= 0, else -z x),   dl/dx = (1 - z) - e / (1 + e) if x >= 0,
 *                                                                e / (1 + e) - z       else,
 *
 * so that none overflows, and a loss or a gradient near 0 keeps its digits. */
#ifndef FASTFC_OPS_TARGET_LOSS_C
#define FASTFC_OPS_TARGET_LOSS_C

#include "fastfc.h"
#include "ops/loss_rows.c"
#include "ops/reduce.c"
#include "simd/exp.h"
#include "simd/log.h"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>

/* Of a vector of elements the loss and its slope. */
typedef struct {
    vec loss, slope;
} loss_terms;

/* positive where r is, negative where r is, else 0, or NaN where r is NaN. */
ALWAYS_INLINE vec by_sign(vec r, vec positive, vec negative) {
    const vec zero = {0};
    return vec_select(r > zero, positive, vec_select(r < zero, negative, r + zero));
}

ALWAYS_INLINE loss_terms terms_of(const int kind, vec x, vec y, double number) {
    const vec r = x - y, half = vec_set((real)0.5), one = vec_set(1);
    switch (kind) {
    case FC_SQUARED_ERROR_LOSS:
        return (loss_terms){half * r * r, r};
    case FC_ABSOLUTE_ERROR_LOSS:
        return (loss_terms){vec_abs(r), by_sign(r, one, -one)};
    case FC_HUBER_LOSS: {
        const vec d = vec_set((real)number), size = vec_abs(r);
        const ivec far = size > d;
        return (loss_terms){vec_select(far, d * (size - half * d), half * r * r),
                            vec_select(far, by_sign(r, d, -d), r)};
    }
    case FC_QUANTILE_LOSS: {
        const vec above = vec_set((real)(1 - number)), below = vec_set((real)-number);
        return (loss_terms){vec_select(r > vec_set(0), above, below) * r, by_sign(r, above, below)};
    }
    case FC_POISSON_LOSS: {
        const vec rate = vec_exp(x);
        return (loss_terms){rate - y * x, rate - y};
    }
    default: { /* logistic */
        const vec z = vec_set((real)(1 - number)) * y + vec_set((real)(number / 2));
        const vec rest = one - z, e = vec_exp_nonpositive(-vec_abs(x)), p = e / (one + e);
        const ivec positive = x >= vec_set(0);
        return (loss_terms){vec_log1p(e) + vec_select(positive, x * rest, -z * x),
                            vec_select(positive, rest - p, p - z)};
    }
    }
}

/* What of poisson's loss does not depend on x, over a row: the sum of y log y - y. */
static double saturated_row(const real *y, size_t M) {
    double sum = 0;
    for (size_t j = 0; j < M; j++)
        if (y[j] > 0) sum += (double)y[j] * log((double)y[j]) - (double)y[j];
    return sum;
}

ALWAYS_INLINE double target_rows(const int kind, const loss_job *c, size_t first, size_t rows) {
    const size_t M = c->C;
    const double number = c->loss->number;
    const real *x = c->x + first * M, *y = (const real *)c->loss->targets + first * M;
    real *dx = c->dx + first * M;
    double total = 0;
    for (size_t i = first; i < first + rows; i++, x += M, y += M, dx += M) {
        const vec scale = vec_set(1 / (real)row_divisor(c, i));
        vec sum[1] = {{0}};
        SUM_IN_BLOCKS(sum, 1, start, end, M, CLASSES_BLOCK, {
            EACH_VECTOR(k, end - start, {
                const size_t j = start + k;
                const loss_terms terms =
                    terms_of(kind, vec_load(x + j, lanes), vec_load(y + j, lanes), number);
                vec_store(dx + j, terms.slope * scale, lanes);
                sum[0] += vec_fill_rest(terms.loss, lanes, 0);
            });
        });
        double loss = (double)vec_reduce_add(sum[0]);
        if (kind == FC_POISSON_LOSS) loss += saturated_row(y, M);
        total += row_weight(c, i) * loss;
    }
    return total;
}

static double logistic_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_LOGISTIC_LOSS, c, first, rows);
}

static double squared_error_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_SQUARED_ERROR_LOSS, c, first, rows);
}

static double absolute_error_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_ABSOLUTE_ERROR_LOSS, c, first, rows);
}

static double huber_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_HUBER_LOSS, c, first, rows);
}

static double quantile_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_QUANTILE_LOSS, c, first, rows);
}

static double poisson_rows(const loss_job *c, size_t first, size_t rows) {
    return target_rows(FC_POISSON_LOSS, c, first, rows);
}

#endif
