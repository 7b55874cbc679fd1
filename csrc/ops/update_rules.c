/* Update rules, elementwise over n parameters.  Each output may be its own input.
 *
 *   sgd                    next_w = w - lr dw
 *   sgd_momentum           next_v = mu v - lr dw,  next_w = w + next_v             (Polyak 1964)
 *   sgd_nesterov_momentum  next_v = mu v - lr dw,  next_w = w + next_v + mu (next_v - v)
 *                                                                        (Sutskever et al. 2013)
 *   rmsprop                next_a = rho a + (1 - rho) dw^2
 *                          next_w = w - lr dw / (sqrt(next_a) + epsilon)
 *                                                                     (Tieleman & Hinton 2012)
 *   adam                   next_v = beta1 v + (1 - beta1) dw
 *                          next_a = beta2 a + (1 - beta2) dw^2
 *                          next_w = w - lr (next_v / (1 - beta1^t))
 *                                       / (sqrt(next_a / (1 - beta2^t)) + epsilon)
 *                                                                         (Kingma & Ba 2015)
 *   adamw                  the same - lr weight_decay w         (Loshchilov & Hutter 2019)
 *
 * Measured without gain, since division and square root overlap with memory: the CPU's approximate
 * reciprocals and roots, refined once; prefetching the state while its gradient is computed;
 * non-temporal stores of the state (steps of large networks 8 to 110 % slower), and of w too (twice
 * as slow). */
#ifndef FASTFC_OPS_UPDATE_RULES_C
#define FASTFC_OPS_UPDATE_RULES_C

#include "fastfc.h"
#include "ops/norm.c"
#include "simd/vec.h"
#include "split.h"

#include <math.h>
#include <stddef.h>

static void sgd(real *next_w, const real *w, const real *dw, double learning_rate, size_t n) {
    const vec lr = vec_set((real)learning_rate);
    EACH_VECTOR(i, n, {
        vec_store(next_w + i, vec_load(w + i, lanes) - lr * vec_load(dw + i, lanes), lanes);
    });
}

static void sgd_momentum(real *next_w, real *next_velocity, const real *w, const real *dw,
                         const real *velocity, double learning_rate, double momentum, size_t n) {
    const vec lr = vec_set((real)learning_rate), mu = vec_set((real)momentum);
    EACH_VECTOR(i, n, {
        vec step = lr * vec_load(dw + i, lanes);
        vec next = mu * vec_load(velocity + i, lanes) - step;
        vec_store(next_velocity + i, next, lanes);
        vec_store(next_w + i, vec_load(w + i, lanes) + next, lanes);
    });
}

static void sgd_nesterov_momentum(real *next_w, real *next_velocity, const real *w, const real *dw,
                                  const real *velocity, double learning_rate, double momentum,
                                  size_t n) {
    const vec lr = vec_set((real)learning_rate), mu = vec_set((real)momentum);
    EACH_VECTOR(i, n, {
        vec v = vec_load(velocity + i, lanes);
        vec step = lr * vec_load(dw + i, lanes);
        vec next = mu * v - step;
        vec_store(next_velocity + i, next, lanes);
        vec_store(next_w + i, vec_load(w + i, lanes) + next + mu * (next - v), lanes);
    });
}

static void rmsprop(real *next_w, real *next_a, const real *w, const real *dw, const real *a,
                    double learning_rate, double decay_rate, double epsilon, size_t n) {
    const vec lr = vec_set((real)learning_rate), eps = vec_set((real)epsilon);
    const vec rho = vec_set((real)decay_rate), one_minus_rho = vec_set((real)(1 - decay_rate));
    EACH_VECTOR(i, n, {
        vec g = vec_load(dw + i, lanes);
        vec old = rho * vec_load(a + i, lanes);
        vec next = vec_fma(one_minus_rho, g * g, old);
        vec_store(next_a + i, next, lanes);
        vec_store(next_w + i, vec_load(w + i, lanes) - lr * g / (vec_sqrt(next) + eps), lanes);
    });
}

/* adam, or adamw where `decays` says so: with weight_decay 0 they differ where w is infinite.
 * power1 and power2 are beta1^t and beta2^t. */
ALWAYS_INLINE void adam_step(real *next_w, real *next_v, real *next_a, const real *w,
                             const real *dw, const real *v, const real *a, double learning_rate,
                             double beta1, double beta2, double epsilon, double power1,
                             double power2, int decays, double weight_decay, size_t n) {
    const vec b1 = vec_set((real)beta1), one_minus_b1 = vec_set((real)(1 - beta1));
    const vec b2 = vec_set((real)beta2), one_minus_b2 = vec_set((real)(1 - beta2));
    const vec lr = vec_set((real)(learning_rate / (1 - power1)));
    const vec correction = vec_set((real)(1 / (1 - power2)));
    const vec eps = vec_set((real)epsilon), decay = vec_set((real)(learning_rate * weight_decay));
    EACH_VECTOR(i, n, {
        vec g = vec_load(dw + i, lanes), old = vec_load(w + i, lanes);
        vec first = b1 * vec_load(v + i, lanes);
        first = vec_fma(one_minus_b1, g, first);
        vec second = b2 * vec_load(a + i, lanes);
        second = vec_fma(one_minus_b2, g * g, second);
        vec_store(next_v + i, first, lanes);
        vec_store(next_a + i, second, lanes);
        vec step = lr * first / (vec_sqrt(second * correction) + eps);
        if (decays) step = vec_fma(decay, old, step);
        vec_store(next_w + i, old - step, lanes);
    });
}

static void adam(real *next_w, real *next_v, real *next_a, const real *w, const real *dw,
                 const real *v, const real *a, double learning_rate, double beta1, double beta2,
                 double epsilon, double t, size_t n) {
    adam_step(next_w, next_v, next_a, w, dw, v, a, learning_rate, beta1, beta2, epsilon,
              pow(beta1, t), pow(beta2, t), 0, 0, n);
}

static void adamw(real *next_w, real *next_v, real *next_a, const real *w, const real *dw,
                  const real *v, const real *a, double learning_rate, double beta1, double beta2,
                  double epsilon, double t, double weight_decay, size_t n) {
    adam_step(next_w, next_v, next_a, w, dw, v, a, learning_rate, beta1, beta2, epsilon,
              pow(beta1, t), pow(beta2, t), 1, weight_decay, n);
}

/* Sets the powers of a parameter's betas that an update needs: a parameter is updated in many
 * pieces, and a power takes as long as a dozen vectors of one.  Those of `known`, a parameter whose
 * powers are set, or NULL, are taken over where they are the same. */
static void set_powers(fc_param *p, const fc_param *known, int rule) {
    if (rule != FC_ADAM && rule != FC_ADAMW) return;
    const double *k = p->number, *other = known ? known->number : NULL;
    for (int i = 0; i < 2; i++)
        p->power[i] = other && other[1 + i] == k[1 + i] && other[FC_T] == k[FC_T]
                          ? known->power[i]
                          : pow(k[1 + i], k[FC_T]);
}

/* Elements of a task, several microseconds of work; and elements that are scaled at a time, few
 * enough for L1. */
enum { UPDATE_WORK = 1 << 14, SCALED_WORK = 1 << 11 };

/* Updates elements first to last - 1 of one parameter, whose powers are set, by their gradient dw.
 */
static void update_by(const fc_param *p, int rule, const real *dw, size_t first, size_t last) {
    const real *w = (const real *)p->w + first;
    real *next_w = (real *)p->next_w + first;
    const double *k = p->number;
    const size_t n = last - first;
    /* a rule has no more states than it takes */
#define STATE(i) ((const real *)p->state[i] + first)
#define NEXT_STATE(i) ((real *)p->next_state[i] + first)
    switch (rule) {
    case FC_SGD:
        sgd(next_w, w, dw, k[0], n);
        break;
    case FC_SGD_MOMENTUM:
        sgd_momentum(next_w, NEXT_STATE(0), w, dw, STATE(0), k[0], k[1], n);
        break;
    case FC_SGD_NESTEROV_MOMENTUM:
        sgd_nesterov_momentum(next_w, NEXT_STATE(0), w, dw, STATE(0), k[0], k[1], n);
        break;
    case FC_RMSPROP:
        rmsprop(next_w, NEXT_STATE(0), w, dw, STATE(0), k[0], k[1], k[2], n);
        break;
    case FC_ADAM:
        adam_step(next_w, NEXT_STATE(0), NEXT_STATE(1), w, dw, STATE(0), STATE(1), k[0], k[1], k[2],
                  k[3], p->power[0], p->power[1], 0, 0, n);
        break;
    case FC_ADAMW:
        adam_step(next_w, NEXT_STATE(0), NEXT_STATE(1), w, dw, STATE(0), STATE(1), k[0], k[1], k[2],
                  k[3], p->power[0], p->power[1], 1, k[5], n);
        break;
    default:
        break; /* FC_NO_UPDATE */
    }
#undef STATE
#undef NEXT_STATE
}

static void update_some(const fc_param *p, int rule, size_t first, size_t last) {
    update_by(p, rule, (const real *)p->dw + first, first, last);
}

/* The same by the gradient times a factor, bit for bit as if it had been scaled before. */
static void update_scaled(const fc_param *p, int rule, real factor, size_t first, size_t last) {
    const vec scale = vec_set(factor);
    real scaled[SCALED_WORK];
    for (size_t next; first < last; first = next) {
        next = min_size(last, first + SCALED_WORK);
        const real *dw = (const real *)p->dw + first;
        EACH_VECTOR(i, next - first,
                    { vec_store(scaled + i, vec_load(dw + i, lanes) * scale, lanes); });
        update_by(p, rule, scaled, first, next);
    }
}

typedef struct {
    fc_param *const *params;
    int rule;
    real scale;
} update_job;

static void update_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const update_job *c = context;
    fc_param *const *p = c->params;
    for (; task >= ceil_div((*p)->n, UPDATE_WORK); p++) task -= ceil_div((*p)->n, UPDATE_WORK);
    const size_t first = task * UPDATE_WORK, last = min_size((*p)->n, first + UPDATE_WORK);
    if (c->scale == 1)
        update_some(*p, c->rule, first, last);
    else
        update_scaled(*p, c->rule, c->scale, first, last);
}

/* Updates all parameters of a training step, in parallel.  If clip_norm is above 0 and the
 * gradients' norm is above clip_norm, they are scaled to that norm.  Their squares are summed in
 * the parameters' order. */
static void update(fc_param *const *params, int rule, double clip_norm, size_t count) {
    update_job job = {params, rule, 1};
    size_t tasks = 0;
    for (size_t i = 0; i < count; i++) {
        set_powers(params[i], i > 0 ? params[i - 1] : NULL, rule);
        tasks += ceil_div(params[i]->n, UPDATE_WORK);
    }
    if (clip_norm > 0) job.scale = (real)clip_factor(params, clip_norm, count);
    fc_run(update_task, &job, tasks, NULL);
}

#endif
