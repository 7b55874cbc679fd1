/* Batch normalisation, per feature over the batch (Ioffe & Szegedy 2015):
 *
 *   out = gamma * x_normalized + beta,   x_normalized = (x - mean) * rstd,
 *   rstd = 1 / sqrt(var + eps)
 *
 * out, x_normalized, x: (N, D).  All others: (D,).  var is the biased variance.  x_normalized and
 * rstd are kept for the backward pass.  N >= 1.
 * Mean first, then variance: the one-pass sum of squares loses half the digits when |mean| >> std.
 */

/* sum (D,) += squares of the rows of x - mean. */
ALWAYS_INLINE void add_squares(real *sum, const real *x, const real *mean, size_t rows, size_t D) {
    EACH_VECTOR(j, D, {
        vec s = vec_load(sum + j, lanes);
        vec m = vec_load(mean + j, lanes);
        for (size_t r = 0; r < rows; r++) {
            vec d = vec_load(x + r * D + j, lanes) - m;
            s = vec_fma(d, d, s);
        }
        vec_store(sum + j, s, lanes);
    });
}

/* mean and var of x over the batch, and rstd. */
static void batchnorm_statistics(real *mean, real *var, real *rstd, const real *x, double eps,
                                 size_t N, size_t D) {
    const vec n = vec_set((real)N), e = vec_set((real)eps);
    sum_rows(mean, x, N, D);
    EACH_VECTOR(j, D, { vec_store(mean + j, vec_load(mean + j, lanes) / n, lanes); });
    memset(var, 0, D * sizeof(real));
    EACH_ROW_BLOCK(i, N, { add_squares(var, x + i * D, mean, rows, D); });
    EACH_VECTOR(j, D, {
        vec v = vec_load(var + j, lanes) / n;
        vec_store(var + j, v, lanes);
        vec_store(rstd + j, vec_set(1) / vec_sqrt(v + e), lanes);
    });
}

/* next = momentum * running + (1 - momentum) * next, in place. */
static void running_average(real *next, const real *running, double momentum, size_t D) {
    const vec kept = vec_set((real)momentum), added = vec_set((real)(1 - momentum));
    EACH_VECTOR(j, D, {
        vec old = kept * vec_load(running + j, lanes);
        vec_store(next + j, vec_fma(added, vec_load(next + j, lanes), old), lanes);
    });
}

/* Training mode.  next_mean and next_var are the running averages after this batch:
 * momentum * running + (1 - momentum) * the batch's.  Nothing may alias. */
static void batchnorm_forward(real *out, real *x_normalized, real *rstd, real *next_mean,
                              real *next_var, const real *x, const real *gamma, const real *beta,
                              const real *running_mean, const real *running_var, double eps,
                              double momentum, size_t N, size_t D) {
    batchnorm_statistics(next_mean, next_var, rstd, x, eps, N, D);
    for (size_t i = 0; i < N; i++)
        EACH_VECTOR(j, D, {
            vec d = vec_load(x + i * D + j, lanes) - vec_load(next_mean + j, lanes);
            vec normalized = d * vec_load(rstd + j, lanes);
            vec_store(x_normalized + i * D + j, normalized, lanes);
            vec scaled = vec_fma(vec_load(gamma + j, lanes), normalized, vec_load(beta + j, lanes));
            vec_store(out + i * D + j, scaled, lanes);
        });
    running_average(next_mean, running_mean, momentum, D);
    running_average(next_var, running_var, momentum, D);
}

/* Test mode: the running averages take the batch's place.  out may be x. */
static void batchnorm_test(real *out, const real *x, const real *gamma, const real *beta,
                           const real *running_mean, const real *running_var, double eps, size_t N,
                           size_t D) {
    const vec e = vec_set((real)eps);
    for (size_t i = 0; i < N; i++)
        EACH_VECTOR(j, D, {
            vec d = vec_load(x + i * D + j, lanes) - vec_load(running_mean + j, lanes);
            vec normalized = d / vec_sqrt(vec_load(running_var + j, lanes) + e);
            vec scaled = vec_fma(vec_load(gamma + j, lanes), normalized, vec_load(beta + j, lanes));
            vec_store(out + i * D + j, scaled, lanes);
        });
}

/* sum (D,) += rows of a * b, elementwise. */
ALWAYS_INLINE void add_products(real *sum, const real *a, const real *b, size_t rows, size_t D) {
    EACH_VECTOR(j, D, {
        vec s = vec_load(sum + j, lanes);
        for (size_t r = 0; r < rows; r++)
            s = vec_fma(vec_load(a + r * D + j, lanes), vec_load(b + r * D + j, lanes), s);
        vec_store(sum + j, s, lanes);
    });
}

/* Backward pass of training mode:
 *
 *   dbeta = sum of dout,   dgamma = sum of dout * x_normalized      (over the batch)
 *   dx = gamma * rstd * (dout - dbeta / N - x_normalized * dgamma / N)
 *
 * dx, dout, x_normalized: (N, D).  All others: (D,).  dx may be dout. */
static void batchnorm_backward(real *dx, real *dgamma, real *dbeta, const real *dout,
                               const real *x_normalized, const real *rstd, const real *gamma,
                               size_t N, size_t D) {
    const vec n = vec_set((real)N);
    sum_rows(dbeta, dout, N, D);
    memset(dgamma, 0, D * sizeof(real));
    EACH_ROW_BLOCK(i, N, { add_products(dgamma, dout + i * D, x_normalized + i * D, rows, D); });
    for (size_t i = 0; i < N; i++)
        EACH_VECTOR(j, D, {
            vec shift = vec_load(dbeta + j, lanes) / n;
            vec slope = vec_load(dgamma + j, lanes) / n;
            vec d = vec_load(dout + i * D + j, lanes) - shift;
            d -= vec_load(x_normalized + i * D + j, lanes) * slope;
            vec scale = vec_load(gamma + j, lanes) * vec_load(rstd + j, lanes);
            vec_store(dx + i * D + j, d * scale, lanes);
        });
}
