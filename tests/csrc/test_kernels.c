/* The single operations, without Python: every instruction set that this machine runs, against the
 * formulas written out in double, over awkward sizes.  Every array is a heap block of exactly the
 * size needed, so that AddressSanitizer reports any access outside it; every output starts as NaN,
 * so that an element that is not written fails its check. */
#include "test.h"

/* Checks that got (m, n) = a b + bias, where ar and ac are a's row and column strides, br and bc
 * b's. */
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

/* x: (N, D), which it frees. */
static void test_affine_of(real *x, size_t N, size_t D, size_t M) {
    real *w = array(D * M), *b = array(M), *dout = array(N * M);
    real *out = output(N * M), *dx = output(N * D), *dw = output(D * M), *db = output(M);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    KERNELS->affine_forward(out, x, w, b, N, D, M, workspace);
    check_product("affine out", out, x, D, 1, w, M, 1, b, N, M, D);
    KERNELS->affine_backward(dx, dw, db, dout, x, w, N, D, M, workspace);
    check_product("affine dx", dx, dout, M, 1, w, 1, M, NULL, N, D, M);
    check_product("affine dw", dw, x, 1, D, dout, M, 1, NULL, D, M, N);
    for (size_t j = 0; j < M; j++) {
        double sum = 0, absolute = 0;
        for (size_t i = 0; i < N; i++) sum += dout[i * M + j], absolute += fabs(dout[i * M + j]);
        check("affine db", j, db[j], sum, sum_bound(N, absolute));
    }
    free(x), free(w), free(b), free(dout), free(out), free(dx), free(dw), free(db), free(workspace);
}

static void test_affine(size_t N, size_t D, size_t M) { test_affine_of(array(N * D), N, D, M); }

/* (rows, columns), of which one element in `every` is not zero; and none of every fifth column. */
static real *mostly_zeros(size_t rows, size_t columns, size_t every) {
    real *x = array(rows * columns);
    for (size_t i = 0; i < rows * columns; i++)
        if (i % columns % 5 == 0 || i * 2654435761 / 65536 % every) x[i] = i % 2 ? 0 : -(real)0;
    return x;
}

/* Sums that leave zeros out are, to the bit, those that do not: w with an infinity leaves out none.
 */
static void test_zeros(size_t N, size_t D, size_t M) {
    for (size_t every = 4; every <= 1000; every += 249)
        test_affine_of(mostly_zeros(N, D, every), N, D, M);
    real *x = mostly_zeros(N, D, 5), *w = array(D * M), *b = array(M), *dout = array(N * M);
    real *out = output(N * M), *all = output(N * M), *dw = output(D * M), *all_dw = output(D * M);
    real *dx = output(N * D), *db = output(M);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    KERNELS->affine_forward(out, x, w, b, N, D, M, workspace);
    KERNELS->affine_backward(dx, dw, db, dout, x, w, N, D, M, workspace);
    /* column 0 of x is zeros, and it meets row 0 of w; row 1 of x meets row 1 of dout */
    w[M - 1] = (real)INFINITY, dout[M + M - 1] = NAN;
    KERNELS->affine_forward(all, x, w, b, N, D, M, workspace);
    KERNELS->affine_backward(dx, all_dw, db, dout, x, w, N, D, M, workspace);
    for (size_t i = 0; i < N * M; i++)
        if (i % M + 1 < M)
            check_bits("zeros left out", i, out[i], all[i]);
        else
            check("zero times infinity", i, isnan(all[i]) != 0, 1, 0);
    for (size_t i = 0; i < D * M; i++)
        if (i % M + 1 < M)
            check_bits("zeros left out of dw", i, dw[i], all_dw[i]);
        else
            check("zero times NaN", i, isnan(all_dw[i]) != 0, 1, 0);
    free(x), free(w), free(b), free(dout), free(out), free(all), free(dw), free(all_dw);
    free(dx), free(db), free(workspace);
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
    real *mean = array(D), *std = array(D);
    const ptrdiff_t f_stride = (ptrdiff_t)(D * sizeof *f), d_stride = (ptrdiff_t)(D * sizeof *d);
    for (int normalised = 0; normalised < 2; normalised++) {
        const real *m = normalised ? mean : NULL, *s = normalised ? std : NULL;
        real *from_f = output(N * D), *from_d = output(N * D), *from_u = output(N * D);
        KERNELS->gather(from_f, &(fc_gather){f, FC_FLOAT32, f_stride, index, m, s}, N, D);
        KERNELS->gather(from_d, &(fc_gather){d, FC_FLOAT64, d_stride, index, m, s}, N, D);
        KERNELS->gather(from_u, &(fc_gather){u, FC_UINT8, (ptrdiff_t)D, index, m, s}, N, D);
        for (size_t i = 0; i < N * D; i++) {
            const size_t j = i % D, at = (size_t)index[i / D] * D + j;
            const real rf = (real)f[at], rd = (real)d[at], ru = (real)u[at];
            check_bits("gather float32", i, from_f[i], m ? (rf - m[j]) / s[j] : rf);
            check_bits("gather float64", i, from_d[i], m ? (rd - m[j]) / s[j] : rd);
            check_bits("gather uint8", i, from_u[i], m ? (ru - m[j]) / s[j] : ru);
        }
        free(from_f), free(from_d), free(from_u);
    }
    free(f), free(d), free(u), free(index), free(mean), free(std);
}

/* One number of n that is not finite is found wherever it stands. */
static void test_finite(size_t n) {
    static const real no_number[] = {NAN, INFINITY, -INFINITY};
    const real greatest = FC_DOUBLE ? (real)DBL_MAX : FLT_MAX;
    real *x = array(n);
    for (size_t i = 0; i < n; i += 3) x[i] = i % 2 ? greatest : -greatest;
    check("finite", n, KERNELS->all_finite(x, n), 1, 0);
    for (size_t i = 0; i < n; i++) {
        const real before = x[i];
        x[i] = no_number[i % 3];
        check("not finite", i, KERNELS->all_finite(x, n), 0, 0);
        x[i] = before;
    }
    free(x);
}

static void test_relu(size_t n) {
    static const real special[] = {NAN, INFINITY, -INFINITY, 0, (real)-0.0};
    static const real rectified[] = {NAN, INFINITY, 0, 0, (real)-0.0}; /* in no compiler's words */
    real *x = array(n), *dout = array(n), *out = output(n), *dx = output(n);
    for (size_t i = 0; i < n; i += 7) x[i] = special[i % 5];
    KERNELS->relu_forward(out, x, n);
    KERNELS->relu_backward(dx, dout, x, n);
    for (size_t i = 0; i < n; i++) {
        check_bits("relu out", i, out[i], i % 7 == 0 ? rectified[i % 5] : x[i] < 0 ? 0 : x[i]);
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
    KERNELS->batchnorm_inference(test, x, gamma, beta, running_mean, running_var, eps, N, D);
    /* |x| <= 1 and rstd <= 1 / sqrt(eps) < 32.  mean and var have an error of at most N + 4
     * roundings each; that of var reaches rstd, and so x_normalized, multiplied by rstd^2 / 2 <
     * 512. */
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
        /* from here on with the kernel's own x_normalized and rstd: only the sums have errors */
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

static void test_dropout(size_t n, double p, int drop, int used) {
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
    fc_mt19937 start = state, skipped = state;
    real *x = array(n), *out = output(n), *mask = output(n), *dx = output(n);
    KERNELS->dropout_forward(out, mask, &state, x, p, drop, n);
    KERNELS->dropout_apply(dx, x, mask, n);
    for (size_t i = 0; i < n; i++) {
        const double a = next_word(&plain) >> 5, b = next_word(&plain) >> 6;
        const int below = (a * 67108864.0 + b) / 9007199254740992.0 < p;
        const real expected = below == drop ? 0 : 1 / (real)(drop ? 1 - p : p);
        check("dropout mask", i, mask[i], expected, 0);
        check("dropout out", i, out[i], x[i] * expected, 0);
        check("dropout dx", i, dx[i], x[i] * expected, 0);
    }
    check("dropout state", n, memcmp(&state, &plain, sizeof state), 0, 0);
    uint8_t *keep = malloc(n);
    memset(keep, 255, n);
    KERNELS->mt19937_keep(keep, &start, p, drop, n);
    for (size_t i = 0; i < n; i++) check("mt19937_keep", i, keep[i], mask[i] != 0, 0);
    check("mt19937_keep state", n, memcmp(&start, &plain, sizeof start), 0, 0);
    KERNELS->mt19937_skip(&skipped, n);
    check("mt19937_skip", n, memcmp(&skipped, &plain, sizeof skipped), 0, 0);
    free(keep);
    free(x), free(out), free(mask), free(dx);
}

/* Random123's known answers, each of them at every lane of a vector of counters. */
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

static void test_philox_dropout(size_t n, double p, int drop) {
    const uint64_t key = 0x299f31d0a4093822;
    const uint32_t counter[4] = {0}, halves[2] = {0xa4093822, 0x299f31d0};
    uint32_t *words = malloc((n / 32 + 1) * 32 * sizeof *words);
    KERNELS->philox_words(words, counter, halves, (n / 32 + 1) * 32);
    real *x = array(n), *out = output(n), *mask = output(n);
    uint8_t *keep = malloc(n);
    KERNELS->dropout_philox(out, mask, x, key, 0, p, drop, n);
    real *part = output(n), *part_mask = output(n);
    for (size_t first = 0; first <= n; first += first < 6 ? 1 : 37) { /* rows of it alone */
        KERNELS->dropout_philox(part, part_mask, x + first, key, first, p, drop, n - first);
        for (size_t i = first; i < n; i++) {
            check("philox part of a mask", i, part_mask[i - first], mask[i], 0);
            check("philox part", i, part[i - first], out[i], 0);
        }
    }
    for (size_t first = 0; first <= n; first += 20) { /* any part of the stream alone */
        memset(keep, 255, n);
        KERNELS->philox_keep(keep, key, first, p, drop, n - first);
        for (size_t i = first; i < n; i++)
            check("philox_keep", i, keep[i - first], (words[i] < ceil(p * 4294967296.0)) ^ drop, 0);
    }
    for (size_t i = 0; i < n; i++) {
        const int below = words[i] < ceil(p * 4294967296.0);
        const real expected = below == drop ? 0 : 1 / (real)(drop ? 1 - p : p);
        check("philox mask", i, mask[i], expected, 0);
        check("philox out", i, out[i], x[i] * expected, 0);
    }
    free(words), free(x), free(out), free(mask), free(keep), free(part), free(part_mask);
}

static void test_losses(size_t N, size_t C) {
    real *x = array(N * C), *dx = output(N * C), *ds = output(N * C), *smoothed = output(N * C);
    int64_t *y = malloc(N * sizeof *y);
    double loss = NAN, margins = NAN, smoothed_loss = NAN, total = 0, hinge = 0, below = 0;
    const double s = 0.25;
    for (size_t i = 0; i < N * C; i++) x[i] *= 90; /* exp(-180) is a denormal or 0 in float */
    for (size_t i = 0; i < N; i++) y[i] = (int64_t)(i % C);
    loss = KERNELS->data_loss(dx, x, &(fc_loss){.kind = FC_SOFTMAX_LOSS, .labels = y}, N, C);
    smoothed_loss = KERNELS->data_loss(
        smoothed, x, &(fc_loss){.kind = FC_SOFTMAX_LOSS, .number = s, .labels = y}, N, C);
    margins = KERNELS->data_loss(ds, x, &(fc_loss){.kind = FC_SVM_LOSS, .labels = y}, N, C);
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
                  /* rounding x - greatest is an error of 90 eps in the exponent */
                  (180 + (double)C) * EPSILON / (double)N);
            if (!right) check("svm dx", at, ds[at], margin > 0 ? 1 / (real)N : 0, 0);
        }
        check("svm dx", i * C + (size_t)y[i], ds[i * C + (size_t)y[i]], (real)(0 - hits) / (real)N,
              0);
    }
    /* an example's loss is below 180 + log(C); its error, then those of two sums over N, the
     * kernel's and this one's */
    check("softmax loss", 0, loss, total / (double)N,
          (180 + (double)C) * EPSILON + sum_bound(2 * N, 180 + (double)C));
    check("smoothed loss", 0, smoothed_loss, (total + below) / (double)N,
          (400 + 180 * (double)C) * EPSILON);
    check("svm loss", 0, margins, hinge / (double)N, sum_bound(C + 2 * N + 4, 181 * (double)C));
    free(x), free(dx), free(ds), free(smoothed), free(y);
}

/* One element's loss and slope by the formula. */
static void target_loss(fc_loss_kind kind, double x, double y, double number, double *loss,
                        double *slope) {
    const double r = x - y, sign = (r > 0) - (r < 0), z = (1 - number) * y + number / 2;
    switch (kind) {
    case FC_SQUARED_ERROR_LOSS:
        *loss = r * r / 2, *slope = r;
        break;
    case FC_ABSOLUTE_ERROR_LOSS:
        *loss = fabs(r), *slope = sign;
        break;
    case FC_HUBER_LOSS:
        *loss = fabs(r) <= number ? r * r / 2 : number * (fabs(r) - number / 2);
        *slope = fabs(r) <= number ? r : number * sign;
        break;
    case FC_QUANTILE_LOSS:
        *loss = r > 0 ? (1 - number) * r : -number * r;
        *slope = r > 0 ? 1 - number : r < 0 ? -number : 0;
        break;
    case FC_POISSON_LOSS:
        *loss = exp(x) - y * x + (y > 0 ? y * log(y) - y : 0), *slope = exp(x) - y;
        break;
    default:
        *loss = log1p(exp(-fabs(x))) + (x > 0 ? x * (1 - z) : -z * x);
        *slope = 1 / (1 + exp(-x)) - z;
    }
}

/* Weights of 0, 1, 2, ...: an example counts as often. */
static void test_target_losses(size_t N, size_t M) {
    static const double numbers[] = {
        [FC_LOGISTIC_LOSS] = 0.2, [FC_HUBER_LOSS] = 0.7, [FC_QUANTILE_LOSS] = 0.3};
    real *x = array(N * M), *y = array(N * M), *dx = output(N * M), *same = output(N * M);
    double *weights = malloc(N * sizeof *weights), sum = 0;
    for (size_t i = 0; i < N; i++) weights[i] = (double)(N - i - 1 + (N == 1)), sum += weights[i];
    for (size_t i = 0; i < N * M; i++) x[i] *= 8, y[i] = (real)fabs(y[i]);
    for (fc_loss_kind kind = FC_LOGISTIC_LOSS; kind <= FC_POISSON_LOSS; kind++) {
        const double number = kind <= FC_QUANTILE_LOSS ? numbers[kind] : 0;
        fc_loss of = {.kind = kind, .number = number, .targets = y, .weights = weights};
        const double loss = KERNELS->data_loss(dx, x, &of, N, M);
        double total = 0, size = 0;
        for (size_t i = 0; i < N * M; i++) {
            double one = NAN, slope = NAN;
            target_loss(kind, x[i], y[i], number, &one, &slope);
            const double share = weights[i / M] / sum;
            total += share * one, size += share * (fabs(one) + exp(fabs((double)x[i])) + 8);
            check("target dx", i, dx[i], share * slope,
                  8 * share * EPSILON * (fabs(slope) + exp((double)x[i]) + 8));
        }
        check("target loss", kind, loss, total, sum_bound(N + M + 16, size));
        of.weights = NULL;
        const double plain = KERNELS->data_loss(dx, x, &of, N, M);
        double *ones = malloc(N * sizeof *ones);
        for (size_t i = 0; i < N; i++) ones[i] = 1;
        of.weights = ones;
        check("weights of 1", kind, KERNELS->data_loss(same, x, &of, N, M), plain, 0);
        check("weights of 1", kind, memcmp(dx, same, N * M * sizeof(real)), 0, 0);
        free(ones);
    }
    free(x), free(y), free(dx), free(same), free(weights);
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
        /* first may cancel and second vanish: then their roundings count, divided by root */
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

/* The bound holds for double and any order of the additions. */
static void test_squares(size_t n) {
    real *x = array(n);
    double exact = 0;
    for (size_t i = 0; i < n; i++) exact += (double)x[i] * (double)x[i];
    const double sum = KERNELS->sum_of_squares(x, n);
    check("sum_of_squares", n, sum, exact, (double)(2 * n + 2) * DBL_EPSILON / 2 * exact);
    free(x);
}

/* peak returns how many operations it did: in proportion to tasks and to rounds. */
static void test_peak(void) {
    const double once = KERNELS->peak(1, 10);
    check("peak: some", 0, once > 0, 1, 0);
    check("peak: tasks", 0, KERNELS->peak(3, 10), 3 * once, 0);
    check("peak: rounds", 0, KERNELS->peak(1, 20), 2 * once, 0);
}

/* Every width of the last panel of columns with every height of the last panel of rows, at small
 * depths; and left factors whose columns are contiguous, deep enough to be packed. */
static void test_narrow_products(void) {
    static const size_t rows[] = {1, 2, 5, 6, 7, 13, 14, 15, 29}, depths[] = {1, 2, 3, 4, 5, 6};
    for (size_t M = 1; M <= 40; M++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            for (size_t j = 0; j < sizeof depths / sizeof *depths; j++)
                test_affine(rows[i], depths[j], M);
            if (M % 4 == 1) test_affine(150, rows[i], M);
        }
}

static void tests(void) {
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 100, 313};
    const size_t count = sizeof sizes / sizeof *sizes;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        test_affine(products[i][0], products[i][1], products[i][2]);
    test_narrow_products();
    static const size_t large[][3] = {{200, 784, 100}, {201, 250, 131}, {3, 700, 515},
                                      {300, 70, 73},   {34, 300, 1030}, {5, 2600, 97}};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        test_zeros(large[i][0], large[i][1], large[i][2]);
    for (size_t i = 0; i < count; i++) {
        test_gather(sizes[i], sizes[count - 1 - i]);
        test_gather(200, sizes[i] + 200);
        test_finite(sizes[i]);
        test_relu(sizes[i]);
        test_optim(sizes[i]);
        test_squares(sizes[i]);
        test_dropout(sizes[i], 0.3, (int)i % 2, (int)i);
        test_philox_dropout(sizes[i], 0.3, (int)i % 2);
        for (size_t j = 0; j < count; j++) {
            if (sizes[j] > 0) test_layernorm(sizes[i], sizes[j]);
            if (sizes[i] == 0) continue;
            test_batchnorm(sizes[i], sizes[j]);
            if (sizes[j] > 0 && sizes[i] < 40) {
                test_losses(sizes[i], sizes[j]);
                test_target_losses(sizes[i], sizes[j]);
            }
        }
    }
    for (int used = 0; used < 624; used += 13) test_dropout(1249, 0.6, used % 2, used);
    test_squares(70001);
    test_squares(4000001);
    test_layernorm(7, 200000); /* the workspace has room for two ranges' sums, then for one's */
    test_layernorm(3, 300000);
    test_philox();
    test_philox_dropout(1100, 0.75, 0);
    test_philox_dropout(1100, 0.75, 1);
    test_philox_dropout(1024, 1, 0);
    test_philox_dropout(1024, 0, 1);
    test_philox_dropout(1024, 1 - 0x1p-53, 1);
    test_peak();
    test_dropout(2000, 1.0, 0, 9999);
    for (int drop = 0; drop < 2; drop++) {
        test_dropout(2000, 1e-300, drop, 623);
        test_dropout(2000, 1 - 0x1p-53, drop, 311);
    }
    test_dropout(2000, 0, 1, 623);
}

int main(void) { return under_every_isa(tests); }
