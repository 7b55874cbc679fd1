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
 *                                                                         (Kingma & Ba 2015) */

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

static void adam(real *next_w, real *next_v, real *next_a, const real *w, const real *dw,
                 const real *v, const real *a, double learning_rate, double beta1, double beta2,
                 double epsilon, double t, size_t n) {
    const vec b1 = vec_set((real)beta1), one_minus_b1 = vec_set((real)(1 - beta1));
    const vec b2 = vec_set((real)beta2), one_minus_b2 = vec_set((real)(1 - beta2));
    const vec lr = vec_set((real)(learning_rate / (1 - pow(beta1, t))));
    const vec correction = vec_set((real)(1 / (1 - pow(beta2, t))));
    const vec eps = vec_set((real)epsilon);
    EACH_VECTOR(i, n, {
        vec g = vec_load(dw + i, lanes);
        vec first = b1 * vec_load(v + i, lanes);
        first = vec_fma(one_minus_b1, g, first);
        vec second = b2 * vec_load(a + i, lanes);
        second = vec_fma(one_minus_b2, g * g, second);
        vec_store(next_v + i, first, lanes);
        vec_store(next_a + i, second, lanes);
        vec step = lr * first / (vec_sqrt(second * correction) + eps);
        vec_store(next_w + i, vec_load(w + i, lanes) - step, lanes);
    });
}

/* Elements of a task: several microseconds. */
enum { UPDATE_WORK = 1 << 14 };

/* Elements first to last of one parameter. */
static void update_some(const fc_update *u, size_t first, size_t last) {
    const real *w = (const real *)u->w + first, *dw = (const real *)u->dw + first;
    const real *s0 = u->state[0] ? (const real *)u->state[0] + first : NULL;
    const real *s1 = u->state[1] ? (const real *)u->state[1] + first : NULL;
    real *next_w = (real *)u->next_w + first;
    real *n0 = u->next_state[0] ? (real *)u->next_state[0] + first : NULL;
    real *n1 = u->next_state[1] ? (real *)u->next_state[1] + first : NULL;
    const double *k = u->number;
    const size_t n = last - first;
    switch (u->rule) {
    case FC_SGD:
        sgd(next_w, w, dw, k[0], n);
        break;
    case FC_SGD_MOMENTUM:
        sgd_momentum(next_w, n0, w, dw, s0, k[0], k[1], n);
        break;
    case FC_SGD_NESTEROV_MOMENTUM:
        sgd_nesterov_momentum(next_w, n0, w, dw, s0, k[0], k[1], n);
        break;
    case FC_RMSPROP:
        rmsprop(next_w, n0, w, dw, s0, k[0], k[1], k[2], n);
        break;
    case FC_ADAM:
        adam(next_w, n0, n1, w, dw, s0, s1, k[0], k[1], k[2], k[3], k[4], n);
        break;
    }
}

static void update_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const fc_update *u = context;
    for (; task >= parts_of(u->n, UPDATE_WORK); u++) task -= parts_of(u->n, UPDATE_WORK);
    const size_t first = task * UPDATE_WORK;
    update_some(u, first, smaller(u->n, first + UPDATE_WORK));
}

/* All updates of a training step, in parallel. */
static void update(const fc_update *updates, size_t count) {
    size_t tasks = 0;
    for (size_t i = 0; i < count; i++) tasks += parts_of(updates[i].n, UPDATE_WORK);
    fc_run(update_task, (void *)(uintptr_t)updates, tasks, NULL);
}
