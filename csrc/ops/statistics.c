/* Mean and variance of numbers whose squares the dtype cannot hold:
 *
 *   var of x = var of (s x) / s^2,   rstd = 1 / sqrt(var + eps) = s / sqrt(var of (s x) + s^2 eps)
 *
 * with a power of two s, which rounds nothing.  The plain sums of batch and layer normalisation are
 * taken first; only where they overflow (float32: numbers of 1e19 and more), or where all that is
 * left of var + eps are squares that have vanished, is this done, in double whatever `real` is.
 *
 * The variance itself may be beyond the dtype while its rstd is not: then it is infinite, rstd is
 * below LEAST_RSTD, and x - mean may overflow, too, and is scaled. */
#ifndef FASTFC_OPS_STATISTICS_C
#define FASTFC_OPS_STATISTICS_C

#include "fastfc.h"
#include "ops/reduce.c"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>

/* LEAST_VAR: above it, the squares that vanished are less than rounding.  SCALE: a power of two
 * that brings all numbers whose rstd is below LEAST_RSTD where their differences are finite. */
#if FC_DOUBLE
#define GREATEST 0x1.fffffffffffffp1023
#define LEAST_RSTD FC_LEAST_RSTD_F64
#define LEAST_VAR 0x1p-960
#define SCALE 0x1p-512
#else
#define GREATEST 0x1.fffffep127f
#define LEAST_RSTD FC_LEAST_RSTD_F32
#define LEAST_VAR 0x1p-100f
#define SCALE 0x1p-64f
#endif

/* A power of two that brings `size` near 1, as far as it needs no extreme one. */
static double scale_for(double size) {
    enum { MOST = 960 };
    int exponent;
    frexp(size, &exponent);
    return ldexp(1, exponent > MOST ? -MOST : exponent < -MOST ? MOST : -exponent);
}

/* The sum of (s x - mean) t, or of its squares, over n numbers that stand `step` apart. */
static double scaled_sum(const real *x, size_t step, size_t n, double s, double mean, double t,
                         int squares) {
    if (n > SUM_LOOK && fc_look()) return 0;
    if (n > SUM_BLOCK) {
        const size_t half = first_half(n, SUM_BLOCK);
        return scaled_sum(x, step, half, s, mean, t, squares) +
               scaled_sum(x + half * step, step, n - half, s, mean, t, squares);
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = ((double)x[i * step] * s - mean) * t;
        sum += squares ? d * d : d;
    }
    return sum;
}

/* mean, var and rstd of n numbers that stand `step` apart; left as they are where one of these is
 * not finite. */
static void scaled_statistics(real *mean, real *var, real *rstd, const real *x, double eps,
                              size_t n, size_t step) {
    double size = 0, greatest = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i * step]) || (i % SUM_LOOK == 0 && fc_look())) return;
        size = fmax(size, fabs((double)x[i * step]));
    }
    const double s = scale_for(size), root = sqrt(eps) * s;
    const double middle = scaled_sum(x, step, n, s, 0, 1, 0) / (double)n;
    for (size_t i = 0; i < n && !(i % SUM_LOOK == 0 && fc_look()); i++)
        greatest = fmax(greatest, fabs((double)x[i * step] * s - middle));
    /* again, for the deviations may be far smaller than the numbers */
    const double t = scale_for(fmax(greatest, root));
    const double v = scaled_sum(x, step, n, s, middle, t, 1) / (double)n;
    *mean = (real)(middle / s);
    *var = (real)(v / t / s / t / s);
    *rstd = (real)(s / sqrt(v + root * t * root * t) * t);
}

/* One bit for each lane: whether its variance has to be taken by scaled_statistics. */
ALWAYS_INLINE unsigned lost_variances(vec var, vec eps, size_t lanes) {
    const ivec kept = (var <= vec_set(GREATEST)) & (var + eps >= vec_set(LEAST_VAR));
    return vec_bits(~kept) & ((1u << lanes) - 1);
}

/* Those of the columns of x (N, lanes) whose bits are set in `lost`; rows `stride` apart. */
static void recover_columns(real *mean, real *var, real *rstd, const real *x, double eps, size_t N,
                            size_t stride, unsigned lost) {
    for (size_t j = 0; lost >> j; j++)
        if (lost >> j & 1) scaled_statistics(mean + j, var + j, rstd + j, x + j, eps, N, stride);
}

/* Whether one of n numbers that rstd holds says that a variance is beyond the dtype. */
static int any_beyond(const real *rstd, size_t n) {
    ivec beyond = {0};
    EACH_VECTOR(i, n, {
        const vec r = vec_fill_rest(vec_load(rstd + i, lanes), lanes, 1);
        beyond |= r < vec_set(LEAST_RSTD);
    });
    return vec_bits(beyond) != 0;
}

/* (x - mean) * rstd; `beyond` where any_beyond: other elements have the same bits either way. */
ALWAYS_INLINE vec normalize(vec x, vec mean, vec rstd, const int beyond) {
    if (!beyond) return (x - mean) * rstd;
    const vec scale = vec_select(rstd < vec_set(LEAST_RSTD), vec_set(SCALE), vec_set(1));
    return (x * scale - mean * scale) * (rstd / scale);
}

#endif
