/* Activations, elementwise, and their slopes:
 *
 *   identity     out = x                      slope = 1
 *   logistic     out = 1 / (1 + exp(-x))      slope = out (1 - out)
 *   tanh         out = tanh(x)                slope = (1 - out) (1 + out)
 *   leaky_relu   out = x < 0 ? x / 100 : x    slope = x >= 0 ? 1 : 1 / 100      (Maas et al. 2013)
 *   silu         out = x logistic(x)          slope = logistic(x) (1 + x logistic(-x))
 *   gelu         out = x Phi(x)               slope = Phi(x) + x phi(x)
 *
 * silu (Hendrycks & Gimpel 2016, Elfwing et al. 2018) is also called swish; of gelu (Hendrycks &
 * Gimpel 2016) this is the exact one, where Phi and phi are the normal distribution's function and
 * density.  ReLU is in relu.c.
 *
 *   forward    out = f(x)
 *   backward   dx = dout * slope, of out for logistic and tanh, else of x
 *
 * All arrays have n elements.  out may be x, dx may be dout.  Both of silu and gelu are the limits
 * at -inf: out is -0, the slope 0.  By the symmetry of their slopes, f'(-a) = 1 - f'(a), both are
 * computed for -|x|.  Errors in units in the last place, as in exp.h; of slopes in those of 1:
 *
 *                  float32      float64
 *   silu           3.61  3.68   3.4  3.4
 *   gelu           5.37  6.76   4.7  6.3
 *   silu's slope   1.01  1.01   1.0  1.0
 *   gelu's slope   1.34  1.68   1.4  1.7 */
#ifndef FASTFC_OPS_ACTIVATIONS_C
#define FASTFC_OPS_ACTIVATIONS_C

#include "fastfc.h"
#include "simd/exp.h"
#include "simd/normal.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Elements of a task, several microseconds of work. */
enum { ACTIVATION_PART = 1 << 13 };

/* a = |x|, exp(-a) in factors, and q = 1 / (1 + exp(-a)), which is logistic(a). */
typedef struct {
    vec a, q;
    exp_factors exp;
} silu_parts;

ALWAYS_INLINE silu_parts silu_parts_of(vec x) {
    const vec highest = vec_set(-EXP_LOWEST), one = vec_set(1);
    vec a = vec_abs(x);
    a = vec_select(a > highest, highest, a);
    const exp_factors e = vec_exp_factors(-a);
    return (silu_parts){a, one / (one + times_exp(one, e)), e};
}

ALWAYS_INLINE vec silu(vec x) {
    const silu_parts s = silu_parts_of(x);
    return vec_select(x < (vec){0}, times_exp(-s.a, s.exp), x) * s.q;
}

ALWAYS_INLINE vec silu_slope(vec x) {
    const silu_parts s = silu_parts_of(x);
    const vec one = vec_set(1), left = times_exp(one - s.a * s.q, s.exp) * s.q;
    return vec_select(x < (vec){0}, left, one - left);
}

ALWAYS_INLINE vec gelu(vec x) {
    const normal_tail t = vec_normal_tail(x);
    const vec left = times_exp(t.a * t.r, t.exp); /* a Q(a) */
    return vec_select(x < (vec){0}, -left, x - left);
}

ALWAYS_INLINE vec gelu_slope(vec x) {
    const normal_tail t = vec_normal_tail(x);
    const vec density = vec_set((real)0.39894228040143267794); /* phi(0) */
    const vec one = vec_set(1), left = times_exp(t.r - t.a * density, t.exp);
    return vec_select(x < (vec){0}, left, one - left);
}

/* The slope of leaky_relu where x is negative. */
ALWAYS_INLINE vec leak(void) { return vec_set((real)0.01); }

ALWAYS_INLINE vec activation_of(const int activation, vec x) {
    switch (activation) {
    case FC_LOGISTIC:
        return vec_logistic(x);
    case FC_TANH:
        return vec_tanh(x);
    case FC_LEAKY_RELU:
        return vec_select(x < (vec){0}, leak() * x, x);
    case FC_SILU:
        return silu(x);
    case FC_GELU:
        return gelu(x);
    default:
        return x;
    }
}

ALWAYS_INLINE vec slope_of(const int activation, vec x, vec out) {
    const vec one = vec_set(1);
    switch (activation) {
    case FC_LOGISTIC:
        return out * (one - out);
    case FC_TANH:
        return (one - out) * (one + out);
    case FC_LEAKY_RELU:
        return vec_select(x >= (vec){0}, one, leak());
    case FC_SILU:
        return silu_slope(x);
    case FC_GELU:
        return gelu_slope(x);
    default:
        return one;
    }
}

/* out = f(x), and their slopes unless that is NULL, of (rows, D), rows `stride` elements apart. */
ALWAYS_INLINE void activate_by(const int activation, real *out, real *slope, const real *x,
                               size_t rows, size_t D, size_t stride) {
    for (size_t i = 0; i < rows; i++)
        EACH_VECTOR(j, D, {
            const size_t at = i * stride + j;
            const vec v = vec_load(x + at, lanes), f = activation_of(activation, v);
            vec_store(out + at, f, lanes);
            if (slope) vec_store(slope + at, slope_of(activation, v, f), lanes);
        });
}

NEVER_INLINE void activate(int activation, real *out, real *slope, const real *x, size_t rows,
                           size_t D, size_t stride) {
#define ACTIVATION(name)                                                                           \
    case name:                                                                                     \
        activate_by(name, out, slope, x, rows, D, stride);                                         \
        break
    switch (activation) {
        ACTIVATION(FC_LOGISTIC);
        ACTIVATION(FC_TANH);
        ACTIVATION(FC_LEAKY_RELU);
        ACTIVATION(FC_SILU);
        ACTIVATION(FC_GELU);
    default:
        activate_by(FC_IDENTITY, out, slope, x, rows, D, stride);
    }
#undef ACTIVATION
}

typedef struct {
    real *out;
    const real *dout, *x; /* x of a backward pass is what the slope is of */
    size_t n;
    int activation;
} activation_job;

static void activation_forward_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const activation_job *c = context;
    const size_t first = part * ACTIVATION_PART;
    activate(c->activation, c->out + first, NULL, c->x + first, 1,
             min_size(c->n - first, ACTIVATION_PART), 0);
}

static void activation_forward(real *out, const real *x, int activation, size_t n) {
    activation_job c = {out, NULL, x, n, activation};
    fc_run(activation_forward_task, &c, ceil_div(n, ACTIVATION_PART), NULL);
}

ALWAYS_INLINE void activation_backward_by(const int activation, real *dx, const real *dout,
                                          const real *x, size_t n) {
    EACH_VECTOR(i, n, {
        const vec v = vec_load(x + i, lanes);
        vec_store(dx + i, vec_load(dout + i, lanes) * slope_of(activation, v, v), lanes);
    });
}

static void activation_backward_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const activation_job *c = context;
    const size_t first = part * ACTIVATION_PART, n = min_size(c->n - first, ACTIVATION_PART);
#define ACTIVATION(name)                                                                           \
    case name:                                                                                     \
        activation_backward_by(name, c->out + first, c->dout + first, c->x + first, n);            \
        break
    switch (c->activation) {
        ACTIVATION(FC_LOGISTIC);
        ACTIVATION(FC_TANH);
        ACTIVATION(FC_LEAKY_RELU);
        ACTIVATION(FC_SILU);
        ACTIVATION(FC_GELU);
    default:
        activation_backward_by(FC_IDENTITY, c->out + first, c->dout + first, c->x + first, n);
    }
#undef ACTIVATION
}

/* cache: out of logistic and tanh, x of the others. */
static void activation_backward(real *dx, const real *dout, const real *cache, int activation,
                                size_t n) {
    activation_job c = {dx, dout, cache, n, activation};
    fc_run(activation_backward_task, &c, ceil_div(n, ACTIVATION_PART), NULL);
}

typedef struct {
    real *out;
    const real *x;
    size_t n;
} exponential_job;

static void exponential_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const exponential_job *c = context;
    const size_t first = part * ACTIVATION_PART;
    EACH_VECTOR(i, min_size(c->n - first, ACTIVATION_PART), {
        vec_store(c->out + first + i, vec_exp(vec_load(c->x + first + i, lanes)), lanes);
    });
}

/* out = exp(x), for the tests of what is made of it. */
static void exponential(real *out, const real *x, size_t n) {
    exponential_job c = {out, x, n};
    fc_run(exponential_task, &c, ceil_div(n, ACTIVATION_PART), NULL);
}

#endif
