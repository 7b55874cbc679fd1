/* The kernels alone, without Python: every instruction set that this machine runs, against the
 * formulas written out in double, over awkward sizes.  Every array is a heap block of its exact
 * size and every output starts as NaN, so that under AddressSanitizer and
 * UndefinedBehaviorSanitizer a stray access, and without them an unwritten element, shows.
 *
 * Compiled once with FC_DOUBLE=0 and once with FC_DOUBLE=1.  With an argument, whatever it is, only
 * what runs on several threads is tested, for ThreadSanitizer. */
#include "fastfc.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if FC_DOUBLE
typedef double real;
#define KERNELS fc_f64
#define EPSILON DBL_EPSILON
#else
typedef float real;
#define KERNELS fc_f32
#define EPSILON FLT_EPSILON
#endif

static long passed, failed;

static double uniform(void) { /* in [-1, 1); a fixed sequence */
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}

static real *array(size_t n) {
    real *a = malloc(n * sizeof(real));
    for (size_t i = 0; i < n; i++) a[i] = (real)uniform();
    return a;
}

static real *output(size_t n) {
    real *a = malloc(n * sizeof(real));
    for (size_t i = 0; i < n; i++) a[i] = NAN;
    return a;
}

/* |got - expected| <= bound, where both may be NaN. */
static void check(const char *what, size_t at, double got, double expected, double bound) {
    if (fabs(got - expected) <= bound || (isnan(got) && isnan(expected))) {
        passed++;
        return;
    }
    if (failed++ < 20)
        printf("%s[%zu]: %.17g, expected %.17g within %.3g\n", what, at, got, expected, bound);
}

/* The very bits, sign of zero and NaN included. */
static void check_bits(const char *what, size_t at, real got, real expected) {
    if (memcmp(&got, &expected, sizeof got) == 0)
        passed++;
    else if (failed++ < 20)
        printf("%s[%zu]: bits of %g, expected %g\n", what, at, got, expected);
}

/* A sum of n rounded products differs from the exact one by at most gamma_n times the sum of their
 * absolute values (Higham 2002, 3.1), gamma_n = n u / (1 - n u), u = EPSILON / 2; the 2 covers the
 * last roundings outside the sum. */
static double sum_bound(size_t n, double absolute) {
    const double nu = (double)(n + 2) * EPSILON / 2;
    return nu / (1 - nu) * absolute;
}

/* got (m, n) = a b + bias, a and b by strides. */
static void check_product(const char *what, const real *got, const real *a, size_t ar, size_t ac,
                          const real *b, size_t br, size_t bc, const real *bias, size_t m, size_t n,
                          size_t k) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = bias ? (double)bias[j] : 0, absolute = fabs(sum);
            for (size_t p = 0; p < k; p++) {
                const double term = (double)a[i * ar + p * ac] * (double)b[p * br + j * bc];
                sum += term;
                absolute += fabs(term);
            }
            check(what, i * n + j, got[i * n + j], sum, sum_bound(k + 1, absolute));
        }
}

static void test_affine(size_t N, size_t D, size_t M) {
    real *x = array(N * D), *w = array(D * M), *b = array(M), *dout = array(N * M);
    real *out = output(N * M), *dx = output(N * D), *dw = output(D * M), *db = output(M);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    fc_set_threads(1);
    KERNELS->affine_forward(out, x, w, b, N, D, M, workspace);
    check_product("affine out", out, x, D, 1, w, M, 1, b, N, M, D);
    KERNELS->affine_backward(dx, dw, db, dout, x, w, N, D, M, workspace);
    for (int threads = 2; threads <= 5; threads++) { /* the same bits for any number of threads */
        real *out2 = output(N * M), *dx2 = output(N * D), *dw2 = output(D * M), *db2 = output(M);
        fc_set_threads(threads);
        KERNELS->affine_forward(out2, x, w, b, N, D, M, workspace);
        KERNELS->affine_backward(dx2, dw2, db2, dout, x, w, N, D, M, workspace);
        check("affine out, threads", (size_t)threads, memcmp(out, out2, N * M * sizeof *out), 0, 0);
        check("affine dx, threads", (size_t)threads, memcmp(dx, dx2, N * D * sizeof *dx), 0, 0);
        check("affine dw, threads", (size_t)threads, memcmp(dw, dw2, D * M * sizeof *dw), 0, 0);
        check("affine db, threads", (size_t)threads, memcmp(db, db2, M * sizeof *db), 0, 0);
        free(out2), free(dx2), free(dw2), free(db2);
    }
    check_product("affine dx", dx, dout, M, 1, w, 1, M, NULL, N, D, M);
    check_product("affine dw", dw, x, 1, D, dout, M, 1, NULL, D, M, N);
    for (size_t j = 0; j < M; j++) {
        double sum = 0, absolute = 0;
        for (size_t i = 0; i < N; i++) sum += dout[i * M + j], absolute += fabs(dout[i * M + j]);
        check("affine db", j, db[j], sum, sum_bound(N, absolute));
    }
    free(x), free(w), free(b), free(dout), free(out), free(dx), free(dw), free(db), free(workspace);
}

static void test_gather(size_t N, size_t D) {
    const size_t rows = 5;
    float *f = malloc(rows * D * sizeof *f);
    double *d = malloc(rows * D * sizeof *d);
    uint8_t *u = malloc(rows * D);
    int64_t *index = malloc(N * sizeof *index);
    for (size_t i = 0; i < rows * D; i++) {
        d[i] = i % 9 ? uniform() * 1e3 : i % 2 ? 1e300 : NAN;
        f[i] = (float)d[i];
        u[i] = (uint8_t)(i * 37);
    }
    for (size_t i = 0; i < N; i++) index[i] = (int64_t)(i * 7 % rows);
    real *from_f = output(N * D), *from_d = output(N * D), *from_u = output(N * D);
    KERNELS->gather(from_f, f, FC_FLOAT32, (ptrdiff_t)(D * sizeof *f), index, N, D);
    KERNELS->gather(from_d, d, FC_FLOAT64, (ptrdiff_t)(D * sizeof *d), index, N, D);
    KERNELS->gather(from_u, u, FC_UINT8, (ptrdiff_t)D, index, N, D);
    for (size_t i = 0; i < N * D; i++) {
        const size_t at = (size_t)index[i / D] * D + i % D;
        check_bits("gather float32", i, from_f[i], (real)f[at]);
        check_bits("gather float64", i, from_d[i], (real)d[at]);
        check_bits("gather uint8", i, from_u[i], (real)u[at]);
    }
    free(f), free(d), free(u), free(index), free(from_f), free(from_d), free(from_u);
}

static void test_relu(size_t n) {
    static const real special[] = {NAN, INFINITY, -INFINITY, 0, -0.0};
    real *x = array(n), *dout = array(n), *out = output(n), *dx = output(n);
    for (size_t i = 0; i < n; i += 7) x[i] = special[i % 5];
    KERNELS->relu_forward(out, x, n);
    KERNELS->relu_backward(dx, dout, x, n);
    for (size_t i = 0; i < n; i++) {
        check_bits("relu out", i, out[i], x[i] < 0 ? 0 : x[i]);
        check_bits("relu dx", i, dx[i], dout[i] * (real)(x[i] >= 0));
    }
    free(x), free(dout), free(out), free(dx);
}

static void test_batchnorm(size_t N, size_t D) {
    real *x = array(N * D), *gamma = array(D), *beta = array(D), *dout = array(N * D);
    real *running_mean = array(D), *running_var = array(D);
    real *out = output(N * D), *normalized = output(N * D), *rstd = output(D);
    real *next_mean = output(D), *next_var = output(D);
    real *dx = output(N * D), *dgamma = output(D), *dbeta = output(D), *test = output(N * D);
    const double eps = 1e-3, momentum = 0.75;
    for (size_t j = 0; j < D; j++) running_var[j] = (real)fabs(running_var[j]);
    KERNELS->batchnorm_forward(out, normalized, rstd, next_mean, next_var, x, gamma, beta,
                               running_mean, running_var, eps, momentum, N, D);
    KERNELS->batchnorm_backward(dx, dgamma, dbeta, dout, normalized, rstd, gamma, N, D);
    KERNELS->batchnorm_test(test, x, gamma, beta, running_mean, running_var, eps, N, D);
    /* |x| <= 1 and rstd <= 1 / sqrt(eps) < 32: mean and var are good to (N + 4) roundings each, and
     * an error in var enters rstd, hence x_normalized, multiplied by rstd^2 / 2 < 512. */
    const double unit = EPSILON * (double)(N + 4), bound = 64 * 512 * unit;
    for (size_t j = 0; j < D; j++) {
        double mean = 0, var = 0, sum = 0, product = 0;
        for (size_t i = 0; i < N; i++) mean += x[i * D + j] / (double)N;
        for (size_t i = 0; i < N; i++) var += pow(x[i * D + j] - mean, 2) / (double)N;
        const double exact = 1 / sqrt(var + eps);
        check("batchnorm next_mean", j, next_mean[j],
              momentum * running_mean[j] + (1 - momentum) * mean, 4 * unit);
        check("batchnorm next_var", j, next_var[j],
              momentum * running_var[j] + (1 - momentum) * var, 16 * unit);
        check("batchnorm rstd", j, rstd[j], exact, bound);
        for (size_t i = 0; i < N; i++) {
            const size_t at = i * D + j;
            const double hat = (x[at] - mean) * exact;
            check("batchnorm x_normalized", at, normalized[at], hat, bound);
            check("batchnorm out", at, out[at], gamma[j] * hat + beta[j], bound);
            check("batchnorm test", at, test[at],
                  gamma[j] * (x[at] - running_mean[j]) / sqrt(running_var[j] + eps) + beta[j],
                  256 * EPSILON);
            sum += dout[at];
            product += dout[at] * (double)normalized[at];
        }
        /* from here on with the kernel's own x_normalized and rstd, so only these sums differ */
        const double size = 64 * (double)N;
        check("batchnorm dbeta", j, dbeta[j], sum, sum_bound(N, (double)N));
        check("batchnorm dgamma", j, dgamma[j], product, sum_bound(N, size));
        for (size_t i = 0; i < N; i++) {
            const size_t at = i * D + j;
            const double centred =
                dout[at] - sum / (double)N - normalized[at] * product / (double)N;
            check("batchnorm dx", at, dx[at], gamma[j] * rstd[j] * centred,
                  32 * sum_bound(N + 8, 64 * 64));
        }
    }
    free(x), free(gamma), free(beta), free(dout), free(running_mean), free(running_var);
    free(out), free(normalized), free(rstd), free(next_mean), free(next_var);
    free(dx), free(dgamma), free(dbeta), free(test);
}

static void test_layernorm(size_t N, size_t D) {
    real *x = array(N * D), *gamma = array(D), *beta = array(D), *dout = array(N * D);
    real *out = output(N * D), *normalized = output(N * D), *rstd = output(N);
    real *dx = output(N * D), *dgamma = output(D), *dbeta = output(D);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    const double eps = 1e-3;
    KERNELS->layernorm_forward(out, normalized, rstd, x, gamma, beta, eps, N, D);
    KERNELS->layernorm_backward(dx, dgamma, dbeta, dout, normalized, rstd, gamma, N, D, workspace);
    /* as for batchnorm, with rows and columns exchanged */
    const double unit = EPSILON * (double)(D + 4), bound = 64 * 512 * unit;
    for (size_t i = 0; i < N; i++) {
        double mean = 0, var = 0, shift = 0, slope = 0;
        for (size_t j = 0; j < D; j++) mean += x[i * D + j] / (double)D;
        for (size_t j = 0; j < D; j++) var += pow(x[i * D + j] - mean, 2) / (double)D;
        const double exact = 1 / sqrt(var + eps);
        check("layernorm rstd", i, rstd[i], exact, bound);
        for (size_t j = 0; j < D; j++) {
            const size_t at = i * D + j;
            const double hat = (x[at] - mean) * exact, g = (double)gamma[j] * dout[at];
            check("layernorm x_normalized", at, normalized[at], hat, bound);
            check("layernorm out", at, out[at], gamma[j] * hat + beta[j], bound);
            shift += g / (double)D;
            slope += g * normalized[at] / (double)D;
        }
        for (size_t j = 0; j < D; j++) {
            const size_t at = i * D + j;
            const double g = (double)gamma[j] * dout[at];
            check("layernorm dx", at, dx[at], rstd[i] * (g - shift - normalized[at] * slope),
                  32 * sum_bound(D + 8, 64 * 64));
        }
    }
    for (size_t j = 0; j < D; j++) {
        double sum = 0, product = 0;
        for (size_t i = 0; i < N; i++) {
            sum += dout[i * D + j];
            product += dout[i * D + j] * (double)normalized[i * D + j];
        }
        check("layernorm dbeta", j, dbeta[j], sum, sum_bound(N, (double)N));
        check("layernorm dgamma", j, dgamma[j], product, sum_bound(N, 64 * (double)N));
    }
    free(x), free(gamma), free(beta), free(dout), free(out), free(normalized), free(rstd);
    free(dx), free(dgamma), free(dbeta), free(workspace);
}

/* MT19937 as its authors publish it: seeded with 5489, output 10000 is 4123659995. */
static void seed_mt19937(fc_mt19937 *state) {
    state->key[0] = 5489;
    for (uint32_t i = 1; i < 624; i++)
        state->key[i] = 1812433253u * (state->key[i - 1] ^ state->key[i - 1] >> 30) + i;
    state->pos = 624;
}

static uint32_t next_word(fc_mt19937 *state) {
    if (state->pos == 624) {
        for (int i = 0; i < 624; i++) {
            const uint32_t y =
                (state->key[i] & 0x80000000u) | (state->key[(i + 1) % 624] & 0x7fffffffu);
            state->key[i] = state->key[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        state->pos = 0;
    }
    uint32_t y = state->key[state->pos++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static void test_dropout(size_t n, double p, int used) {
    fc_mt19937 state, plain;
    seed_mt19937(&state);
    if (used == 9999) {
        for (int i = 0; i < 9999; i++) next_word(&state);
        fc_mt19937 copy = state;
        check("published MT19937 output", 10000, next_word(&copy), 4123659995.0, 0);
    } else {
        for (int i = 0; i < used; i++) next_word(&state);
    }
    plain = state;
    fc_mt19937 start = state;
    real *x = array(n), *out = output(n), *mask = output(n), *dx = output(n);
    KERNELS->dropout_forward(out, mask, &state, x, p, n);
    KERNELS->dropout_apply(dx, x, mask, n);
    for (size_t i = 0; i < n; i++) {
        const double a = next_word(&plain) >> 5, b = next_word(&plain) >> 6;
        const real expected = (a * 67108864.0 + b) / 9007199254740992.0 < p ? 1 / (real)p : 0;
        check("dropout mask", i, mask[i], expected, 0);
        check("dropout out", i, out[i], x[i] * expected, 0);
        check("dropout dx", i, dx[i], x[i] * expected, 0);
    }
    check("dropout state", n, memcmp(&state, &plain, sizeof state), 0, 0);
    uint8_t *keep = malloc(n);
    memset(keep, 255, n);
    KERNELS->mt19937_keep(keep, &start, p, n);
    for (size_t i = 0; i < n; i++) check("mt19937_keep", i, keep[i], mask[i] != 0, 0);
    check("mt19937_keep state", n, memcmp(&start, &plain, sizeof start), 0, 0);
    free(keep);
    free(x), free(out), free(mask), free(dx);
}

/* The known answers of Random123; the last two at every place of a vector of counters. */
static void test_philox(void) {
    static const uint32_t cases[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int c = 0; c < 3; c++)
        for (uint32_t before = 0; before < 8; before++) {
            uint32_t words[64], counter[4];
            memcpy(counter, cases[c], sizeof counter);
            const uint64_t low = ((uint64_t)counter[1] << 32 | counter[0]) - before;
            counter[0] = (uint32_t)low, counter[1] = (uint32_t)(low >> 32);
            KERNELS->philox_words(words, counter, cases[c] + 4, 64);
            for (int i = 0; i < 4; i++)
                check("philox", before, words[4 * before + i], cases[c][6 + i], 0);
        }
}

static void test_philox_dropout(size_t n, double p) {
    const uint64_t key = 0x299f31d0a4093822;
    const uint32_t counter[4] = {0}, halves[2] = {0xa4093822, 0x299f31d0};
    uint32_t *words = malloc((n / 32 + 1) * 32 * sizeof *words);
    KERNELS->philox_words(words, counter, halves, (n / 32 + 1) * 32);
    real *x = array(n), *out = output(n), *mask = output(n);
    uint8_t *keep = malloc(n);
    KERNELS->dropout_philox(out, mask, x, key, p, n);
    for (size_t first = 0; first <= n; first += 20) { /* any part of the stream by itself */
        memset(keep, 255, n);
        KERNELS->philox_keep(keep, key, first, p, n - first);
        for (size_t i = first; i < n; i++)
            check("philox_keep", i, keep[i - first], words[i] < ceil(p * 4294967296.0), 0);
    }
    for (size_t i = 0; i < n; i++) {
        const real expected = words[i] < ceil(p * 4294967296.0) ? 1 / (real)p : 0;
        check("philox mask", i, mask[i], expected, 0);
        check("philox out", i, out[i], x[i] * expected, 0);
    }
    free(words), free(x), free(out), free(mask), free(keep);
}

static void test_losses(size_t N, size_t C) {
    real *x = array(N * C), *dx = output(N * C), *ds = output(N * C), *smoothed = output(N * C);
    int64_t *y = malloc(N * sizeof *y);
    double loss = NAN, margins = NAN, smoothed_loss = NAN, total = 0, hinge = 0, below = 0;
    const double s = 0.25;
    for (size_t i = 0; i < N * C; i++) x[i] *= 90; /* exp(-180) is a denormal or 0 in float */
    for (size_t i = 0; i < N; i++) y[i] = (int64_t)(i % C);
    KERNELS->softmax_loss(&loss, dx, x, y, 0, N, C);
    KERNELS->softmax_loss(&smoothed_loss, smoothed, x, y, s, N, C);
    KERNELS->svm_loss(&margins, ds, x, y, N, C);
    for (size_t i = 0; i < N; i++) {
        const real *row = x + i * C, score = row[y[i]];
        double greatest = -INFINITY, sum = 0;
        int hits = 0;
        for (size_t j = 0; j < C; j++) greatest = fmax(greatest, row[j]);
        for (size_t j = 0; j < C; j++) sum += exp(row[j] - greatest);
        total += log(sum) + greatest - score;
        for (size_t j = 0; j < C; j++) {
            const size_t at = i * C + j;
            const int right = (int64_t)j == y[i];
            const double margin = right ? 0 : fmax(0, (double)(row[j] - score + 1));
            below += s * (score - row[j]) / (double)C;
            check("smoothed dx", at, smoothed[at], dx[at] + s * (right - 1 / (double)C) / (double)N,
                  8 * EPSILON / (double)N);
            hits += margin > 0;
            hinge += margin;
            check("softmax dx", at, dx[at], (exp(row[j] - greatest) / sum - right) / (double)N,
                  /* the difference is rounded once: 90 eps in the exponent */
                  (180 + (double)C) * EPSILON / (double)N);
            if (!right) check("svm dx", at, ds[at], margin > 0 ? 1 / (real)N : 0, 0);
        }
        check("svm dx", i * C + (size_t)y[i], ds[i * C + (size_t)y[i]], (real)(0 - hits) / (real)N,
              0);
    }
    check("softmax loss", 0, loss, total / (double)N, (180 + (double)C) * EPSILON);
    check("smoothed loss", 0, smoothed_loss, (total + below) / (double)N,
          (400 + 180 * (double)C) * EPSILON);
    check("svm loss", 0, margins, hinge / (double)N, sum_bound(C + 4, 181 * (double)C));
    free(x), free(dx), free(ds), free(smoothed), free(y);
}

static void test_optim(size_t n) {
    real *w = array(n), *dw = array(n), *v = array(n), *a = array(n);
    real *next = output(n), *next_v = output(n), *next_a = output(n);
    const double lr = 0.125, mu = 0.75, rho = 0.5, eps = 1e-2, t = 3, few = 16 * EPSILON;
    for (size_t i = 0; i < n; i++) a[i] = (real)fabs(a[i]);

    KERNELS->sgd(next, w, dw, lr, n);
    for (size_t i = 0; i < n; i++) check("sgd", i, next[i], w[i] - lr * dw[i], few);

    KERNELS->sgd_momentum(next, next_v, w, dw, v, lr, mu, n);
    for (size_t i = 0; i < n; i++) {
        check("sgd_momentum velocity", i, next_v[i], mu * v[i] - lr * dw[i], few);
        check("sgd_momentum", i, next[i], w[i] + mu * v[i] - lr * dw[i], few);
    }
    KERNELS->sgd_nesterov_momentum(next, next_v, w, dw, v, lr, mu, n);
    for (size_t i = 0; i < n; i++) {
        const double velocity = mu * v[i] - lr * dw[i];
        check("nesterov velocity", i, next_v[i], velocity, few);
        check("nesterov", i, next[i], w[i] + velocity + mu * (velocity - v[i]), few);
    }
    KERNELS->rmsprop(next, next_a, w, dw, a, lr, rho, eps, n);
    for (size_t i = 0; i < n; i++) {
        const double second = rho * a[i] + (1 - rho) * dw[i] * dw[i];
        check("rmsprop a", i, next_a[i], second, few);
        check("rmsprop", i, next[i], w[i] - lr * dw[i] / (sqrt(second) + eps), few);
    }
    /* in place, as the outputs of one step are the inputs of the next */
    real *adam_w = array(n), *adam_v = array(n), *adam_a = array(n);
    memcpy(adam_w, w, n * sizeof(real));
    memcpy(adam_v, v, n * sizeof(real));
    memcpy(adam_a, a, n * sizeof(real));
    KERNELS->adam(adam_w, adam_v, adam_a, adam_w, dw, adam_v, adam_a, lr, mu, rho, eps, t, n);
    for (size_t i = 0; i < n; i++) {
        const double first = mu * v[i] + (1 - mu) * dw[i];
        const double second = rho * a[i] + (1 - rho) * dw[i] * dw[i];
        const double root = sqrt(second / (1 - pow(rho, t))) + eps;
        const double step = lr * first / (1 - pow(mu, t)) / root;
        check("adam v", i, adam_v[i], first, few);
        check("adam a", i, adam_a[i], second, few);
        /* first and second may cancel or vanish: their few roundings, divided by root */
        check("adam", i, adam_w[i], w[i] - step, few * (1 + lr / root + fabs(step)));
    }
    const double decay = 0.25;
    KERNELS->adamw(next, next_v, next_a, w, dw, v, a, lr, mu, rho, eps, t, decay, n);
    for (size_t i = 0; i < n; i++) {
        const double root = sqrt(next_a[i] / (1 - pow(rho, t))) + eps;
        check_bits("adamw v", i, next_v[i], adam_v[i]);
        check_bits("adamw a", i, next_a[i], adam_a[i]);
        check("adamw", i, next[i], adam_w[i] - lr * decay * w[i], 2 * few * (1 + lr / root));
    }
    free(w), free(dw), free(v), free(a), free(next), free(next_v), free(next_a);
    free(adam_w), free(adam_v), free(adam_a);
}

/* In double, whatever the order; and the same bits for any number of threads. */
static void test_squares(size_t n) {
    real *x = array(n);
    double exact = 0;
    for (size_t i = 0; i < n; i++) exact += (double)x[i] * (double)x[i];
    fc_set_threads(1);
    const double sum = KERNELS->sum_of_squares(x, n);
    check("sum_of_squares", n, sum, exact, (double)(2 * n + 2) * DBL_EPSILON / 2 * exact);
    for (int threads = 2; threads <= 5; threads++) {
        fc_set_threads(threads);
        check("sum_of_squares, threads", n, KERNELS->sum_of_squares(x, n), sum, 0);
    }
    free(x);
}

enum { DEEP = 3 };

enum { NONE, BATCHNORM, LAYERNORM };

/* The whole pass against its own pieces, which the tests above have checked: the same bits. */
static void test_network(size_t N, const size_t *dims, int normalization, double p) {
    fc_layer layers[DEEP] = {0};
    fc_mt19937 state, plain;
    size_t widest = 0;
    real *x = array(N * dims[0]), *params[DEEP][4], *work[DEEP][11];
    int64_t *y = malloc(N * sizeof *y);
    for (size_t i = 0; i < N; i++) y[i] = (int64_t)(i % dims[DEEP]);
    for (int l = 0; l < DEEP; l++) {
        const size_t D = dims[l], M = dims[l + 1], sizes[4] = {D * M, M, M, M};
        const int hidden = l + 1 < DEEP;
        widest = M > widest ? M : widest;
        for (int k = 0; k < 4; k++) params[l][k] = array(sizes[k]);
        for (int k = 0; k < 4; k++) work[l][k] = output(sizes[k]); /* gradients */
        for (int k = 4; k < 7; k++) work[l][k] = output(N * M);    /* out, gate, normal */
        work[l][7] = output(normalization == LAYERNORM ? N : M);   /* rstd */
        for (int k = 8; k < 10; k++) work[l][k] = output(M);       /* next */
        work[l][10] = array(M);                                    /* running */
        for (size_t j = 0; j < M; j++) work[l][10][j] = (real)fabs(work[l][10][j]);
        real **w = work[l];
        layers[l] = (fc_layer){.D = D,
                               .M = M,
                               .w = params[l][0],
                               .b = params[l][1],
                               .gamma = normalization && hidden ? params[l][2] : NULL,
                               .beta = params[l][3],
                               .layernorm = normalization == LAYERNORM,
                               .running_mean = w[10],
                               .running_var = w[10],
                               .eps = 1e-3,
                               .momentum = 0.75,
                               .next_mean = w[8],
                               .next_var = w[9],
                               .dw = w[0],
                               .db = w[1],
                               .dgamma = w[2],
                               .dbeta = w[3],
                               .out = w[4],
                               .gate = w[5],
                               .x_normalized = w[6],
                               .rstd = w[7],
                               .keep = p < 1 && hidden ? malloc(N * M) : NULL};
    }
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    seed_mt19937(&state);
    plain = state;
    fc_network net = {
        N,         DEEP, layers, p, p < 1 ? &state : NULL, {output(N * widest), output(N * widest)},
        workspace, 0.2};
    double loss = NAN, expected_loss = NAN;
    KERNELS->network_loss(&loss, &net, x, y);

    real *outs[DEEP], *relus[DEEP], *inputs[DEEP], *normals[DEEP], *rstds[DEEP], *masks[DEEP];
    const real *h = x;
    for (int l = 0; l < DEEP; l++) {
        const size_t D = dims[l], M = dims[l + 1];
        real *next_mean = output(M), *next_var = output(M), *normed = output(N * M);
        outs[l] = output(N * M), relus[l] = output(N * M), normals[l] = output(N * M);
        rstds[l] = output(M > N ? M : N), masks[l] = output(N * M),
        inputs[l] = (real *)(uintptr_t)h;
        KERNELS->affine_forward(outs[l], h, params[l][0], params[l][1], N, D, M, workspace);
        h = outs[l];
        if (layers[l].gamma && normalization == LAYERNORM) {
            KERNELS->layernorm_forward(normed, normals[l], rstds[l], h, params[l][2], params[l][3],
                                       1e-3, N, M);
            memcpy(outs[l], normed, N * M * sizeof(real));
        } else if (layers[l].gamma) {
            KERNELS->batchnorm_forward(normed, normals[l], rstds[l], next_mean, next_var, h,
                                       params[l][2], params[l][3], work[l][10], work[l][10], 1e-3,
                                       0.75, N, M);
            memcpy(outs[l], normed, N * M * sizeof(real));
            check("network next_mean", (size_t)l, memcmp(next_mean, work[l][8], M * sizeof(real)),
                  0, 0);
            check("network next_var", (size_t)l, memcmp(next_var, work[l][9], M * sizeof(real)), 0,
                  0);
        }
        if (l + 1 < DEEP) {
            KERNELS->relu_forward(relus[l], h, N * M);
            if (p < 1) KERNELS->dropout_forward(relus[l], masks[l], &plain, relus[l], p, N * M);
            h = relus[l];
        }
        free(next_mean), free(next_var), free(normed);
    }
    real *dout = output(N * widest), *dx = output(N * widest);
    KERNELS->softmax_loss(&expected_loss, dout, outs[DEEP - 1], y, 0.2, N, dims[DEEP]);
    check("network loss", N, loss, expected_loss, 0);
    check("network random state", N, memcmp(&state, &plain, sizeof state), 0, 0);
    for (int l = DEEP - 1; l >= 0; l--) {
        const size_t D = dims[l], M = dims[l + 1];
        real *dw = output(D * M), *db = output(M), *dgamma = output(M), *dbeta = output(M);
        real *input_gradient = output(N * D);
        if (l + 1 < DEEP) {
            if (p < 1) KERNELS->dropout_apply(dout, dout, masks[l], N * M);
            KERNELS->relu_backward(dout, dout, outs[l], N * M);
        }
        if (layers[l].gamma) {
            if (normalization == LAYERNORM)
                KERNELS->layernorm_backward(dout, dgamma, dbeta, dout, normals[l], rstds[l],
                                            params[l][2], N, M, workspace);
            else
                KERNELS->batchnorm_backward(dout, dgamma, dbeta, dout, normals[l], rstds[l],
                                            params[l][2], N, M);
            check("network dgamma", (size_t)l, memcmp(dgamma, work[l][2], M * sizeof(real)), 0, 0);
            check("network dbeta", (size_t)l, memcmp(dbeta, work[l][3], M * sizeof(real)), 0, 0);
        }
        KERNELS->affine_backward(input_gradient, dw, db, dout, inputs[l], params[l][0], N, D, M,
                                 workspace);
        check("network dw", (size_t)l, memcmp(dw, work[l][0], D * M * sizeof(real)), 0, 0);
        check("network db", (size_t)l, memcmp(db, work[l][1], M * sizeof(real)), 0, 0);
        if (l > 0) memcpy(dx, input_gradient, N * D * sizeof(real));
        real *swap = dout;
        dout = dx, dx = swap;
        free(dw), free(db), free(dgamma), free(dbeta), free(input_gradient);
    }
    free(dout), free(dx), free(net.dout[0]), free(net.dout[1]), free(workspace), free(x), free(y);
    for (int l = 0; l < DEEP; l++) {
        for (int k = 0; k < 4; k++) free(params[l][k]);
        for (int k = 0; k < 11; k++) free(work[l][k]);
        free(layers[l].keep), free(outs[l]), free(relus[l]), free(normals[l]), free(rstds[l]);
        free(masks[l]);
    }
}

/* All parameters at once against each by itself, by gradients clipped to a norm or not. */
static void test_update(double clip_norm) {
    enum { PARAMS = 3 };
    const size_t sizes[PARAMS] = {40000, 1, 17};
    fc_update updates[PARAMS] = {0};
    real *expected[PARAMS][3], *gradient[PARAMS];
    double squares = 0;
    for (int i = 0; i < PARAMS; i++) {
        gradient[i] = array(sizes[i]);
        squares += KERNELS->sum_of_squares(gradient[i], sizes[i]);
    }
    const double norm = sqrt(squares);
    const real scale = (real)(clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1);
    for (int i = 0; i < PARAMS; i++) {
        const size_t n = sizes[i];
        real *w = array(n), *dw = output(n), *v = array(n), *a = array(n);
        for (size_t j = 0; j < n; j++) dw[j] = gradient[i][j] * scale;
        for (size_t j = 0; j < n; j++) a[j] = (real)fabs(a[j]);
        for (int k = 0; k < 3; k++) expected[i][k] = output(n);
        KERNELS->adam(expected[i][0], expected[i][1], expected[i][2], w, dw, v, a, 0.1, 0.9, 0.99,
                      1e-3, 2, n);
        memcpy(dw, gradient[i], n * sizeof(real));
        updates[i] = (fc_update){FC_ADAM, n, w, {v, a}, w, dw, {v, a}, {0.1, 0.9, 0.99, 1e-3, 2}};
    }
    KERNELS->update(updates, clip_norm, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        const size_t bytes = sizes[i] * sizeof(real);
        check("update w", (size_t)i, memcmp(updates[i].w, expected[i][0], bytes), 0, 0);
        check("update v", (size_t)i, memcmp(updates[i].state[0], expected[i][1], bytes), 0, 0);
        check("update a", (size_t)i, memcmp(updates[i].state[1], expected[i][2], bytes), 0, 0);
        check("update dw", (size_t)i, memcmp(updates[i].dw, gradient[i], bytes), 0, 0);
        free(gradient[i]);
        free(updates[i].next_w), free((void *)(uintptr_t)updates[i].dw);
        free(updates[i].next_state[0]), free(updates[i].next_state[1]);
        for (int k = 0; k < 3; k++) free(expected[i][k]);
    }
}

/* Jobs that follow each other at once, of few tasks and of many by turns: every task of every job
 * runs exactly once, with its own job's context, on scratch of its own. */
typedef struct {
    size_t count;
    _Atomic(int) runs[40];
    _Atomic(int) strays;
} pool_job;

static void count_run(void *context, size_t index, void *scratch) {
    pool_job *job = context;
    volatile size_t *mine = scratch;
    *mine = index;
    if (index < job->count)
        job->runs[index]++;
    else
        job->strays++;
    if (*mine != index) job->strays++;
}

static void test_pool(void) {
    static pool_job job;
    size_t scratch[8];
    long once = 0, tasks = 0, strays = 0;
    for (int round = 0; round < 40000; round++) {
        job.count = round % 2 ? 40 : 2 + (size_t)round % 3;
        for (size_t i = 0; i < 40; i++) job.runs[i] = 0;
        fc_set_threads(2 + round / 4 % 4);
        fc_run(count_run, &job, job.count, scratch);
        for (size_t i = 0; i < job.count; i++) once += job.runs[i] == 1;
        tasks += (long)job.count;
        strays += job.strays;
    }
    check("tasks that ran once", 0, (double)once, (double)tasks, 0);
    check("stray tasks", 0, (double)strays, 0, 0);
}

/* Arithmetic is counted, not only done: twice the tasks or the rounds are twice as much. */
static void test_peak(void) {
    const double once = KERNELS->peak(1, 10);
    check("peak: some", 0, once > 0, 1, 0);
    check("peak: tasks", 0, KERNELS->peak(3, 10), 3 * once, 0);
    check("peak: rounds", 0, KERNELS->peak(1, 20), 2 * once, 0);
}

int main(int arguments, char **argument) {
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 100, 313};
    static const size_t products[][3] = {
        {1, 1, 1},    {0, 3, 4},       {3, 0, 4},      {3, 4, 0},       {2, 3, 5},
        {6, 16, 16},  {7, 17, 33},     {13, 257, 31},  {100, 300, 100}, {121, 64, 10},
        {5, 31, 513}, {25, 513, 1030}, {29, 5000, 33},
    };
    const size_t count = sizeof sizes / sizeof *sizes;
    const int threads_alone = arguments > 1;
    (void)argument;
    test_pool();
    for (int isa = 0; isa < fc_isa_count(); isa++) {
        if (fc_isa_use(isa) != 0) {
            printf("%s: not on this machine\n", fc_isa_name(isa));
            continue;
        }
        const long failed_before = failed;
        for (size_t i = 0; i < sizeof products / sizeof *products; i++)
            test_affine(products[i][0], products[i][1], products[i][2]);
        for (size_t i = 0; i < count; i++) {
            test_gather(sizes[i], sizes[count - 1 - i]);
            test_gather(200, sizes[i] + 200);
            if (threads_alone) continue;
            test_relu(sizes[i]);
            test_optim(sizes[i]);
            test_dropout(sizes[i], 0.3, (int)i);
            test_philox_dropout(sizes[i], 0.3);
            for (size_t j = 0; j < count; j++) {
                if (sizes[j] > 0) test_layernorm(sizes[i], sizes[j]);
                if (sizes[i] == 0) continue;
                test_batchnorm(sizes[i], sizes[j]);
                if (sizes[j] > 0 && sizes[i] < 40) test_losses(sizes[i], sizes[j]);
            }
        }
        static const size_t dims[][DEEP + 1] = {{1, 1, 1, 1}, {7, 33, 16, 10}, {300, 130, 65, 3}};
        for (int i = 0; i < 3; i++)
            for (int normalization = NONE; normalization <= LAYERNORM; normalization++)
                for (double p = 0.5; p <= 1; p += 0.5) {
                    test_network(1, dims[i], normalization, p);
                    test_network(301, dims[i], normalization, p);
                }
        test_update(0);
        test_update(1e-2);
        test_update(1e9);
        for (size_t i = 0; i < count; i++) test_squares(sizes[i]);
        test_squares(70001);
        test_squares(4000001);
        test_layernorm(7, 200000); /* the workspace has room for two ranges' sums, then for one's */
        test_layernorm(3, 300000);
        for (int used = 0; used < 624; used += 13) test_dropout(1249, 0.6, used);
        test_philox();
        test_philox_dropout(1100, 0.75);
        test_philox_dropout(1024, 1);
        test_peak();
        test_dropout(2000, 1.0, 9999);
        test_dropout(2000, 1e-300, 623);
        test_dropout(2000, 1 - 0x1p-53, 311);
        printf("%s: %s\n", fc_isa_name(isa), failed > failed_before ? "FAILED" : "ok");
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
