/* Sums of many numbers, which lose no more than the blocks of csrc/ops/reduce.c promise, and the
 * statistics of numbers whose squares the dtype cannot hold (csrc/ops/statistics.c).  What is
 * expected is summed in double with the errors kept, which rounds as if once.
 *
 * Terms of a long sum are alike, so that rounding errs to the same side each time: added one after
 * the other, they would drift far past the bounds. */
#include "test.h"

/* The sum of numbers, and what rounding it has lost so far (Knuth's two-sum). */
typedef struct {
    double sum, lost;
} exact_sum;

static void add(exact_sum *s, double term) {
    const double sum = s->sum + term, kept = sum - s->sum;
    s->lost += (s->sum - (sum - kept)) + (term - kept);
    s->sum = sum;
}

static double total(const exact_sum *s) { return s->sum + s->lost; }

/* How many roundings a term of a sum of n goes through, at most: the head of csrc/ops/reduce.c. */
static double roundings(size_t n) { return 128 + (n > 128 ? ceil(log2((double)n / 128)) : 0); }

/* gamma of so many roundings: the relative error that they may add up to. */
static double gamma_of(double count, double epsilon) {
    return count * epsilon / 2 / (1 - count * epsilon / 2);
}

/* A sum of n terms, `more` roundings aside, where all terms have one sign; 2 for what is expected.
 */
static void check_sum(const char *what, size_t at, double got, const exact_sum *s, size_t n,
                      double more) {
    const double bound = gamma_of(roundings(n) + more + 2, EPSILON) * fabs(total(s));
    check(what, at, got, total(s), bound);
}

static real *filled(size_t n, double value) {
    real *a = output(n);
    for (size_t i = 0; i < n; i++) a[i] = (real)value;
    return a;
}

/* Sums over a batch of N rows: the bias's gradient, and those of both normalisations. */
static void test_sums_over_batch(size_t N, size_t D) {
    real *x = output(N * D), *ones = filled(D, 1), *zeros = filled(N, 0);
    real *no_dx = output(N);
    real *rstd = filled(N > D ? N : D, 1), *alone = output(N);
    real *dx = output(N * D), *dw = output(D), *db = output(D), *one = output(1);
    real *dgamma = output(D), *dbeta = output(D), *row_dgamma = output(D), *row_dbeta = output(D);
    void *workspace = aligned_alloc(64, FC_WORKSPACE_BYTES);
    for (size_t i = 0; i < N * D; i++) x[i] = (real)(285.3 + 0.7 * (double)(i % D));
    KERNELS->affine_backward(no_dx, dw, db, x, zeros, ones, N, 1, D, workspace);
    KERNELS->batchnorm_backward(dx, dgamma, dbeta, x, x, rstd, ones, N, D);
    KERNELS->layernorm_backward(dx, row_dgamma, row_dbeta, x, x, rstd, ones, N, D, workspace);
    for (size_t j = 0; j < D; j++) {
        exact_sum sum = {0}, squares = {0};
        for (size_t i = 0; i < N; i++) {
            alone[i] = x[i * D + j];
            add(&sum, alone[i]);
            add(&squares, (double)alone[i] * (double)alone[i]);
        }
        check_sum("long db", j, db[j], &sum, N, 0);
        check_sum("long batchnorm dbeta", j, dbeta[j], &sum, N, 0);
        check_sum("long batchnorm dgamma", j, dgamma[j], &squares, N, 1);
        /* sums of ranges of rows are added up, in one more block and its partner */
        check_sum("long layernorm dbeta", j, row_dbeta[j], &sum, N, 130);
        check_sum("long layernorm dgamma", j, row_dgamma[j], &squares, N, 131);
        /* a column's sum does not depend on those beside it */
        KERNELS->affine_backward(no_dx, dw, one, alone, zeros, ones, N, 1, 1, workspace);
        check_bits("db of a column alone", j, *one, db[j]);
    }
    free(x), free(ones), free(zeros), free(no_dx), free(rstd), free(alone), free(dx), free(dw),
        free(db);
    free(one), free(dgamma), free(dbeta), free(row_dgamma), free(row_dbeta), free(workspace);
}

/* The distance of denormals. */
#define TINIEST (FC_DOUBLE ? DBL_TRUE_MIN : (double)FLT_TRUE_MIN)

/* Statistics of n numbers, `step` apart, times a power of two: mean and variance without it. */
typedef struct {
    double mean, var;
} statistics;

static statistics statistics_of(const real *x, size_t n, size_t step, double scale) {
    exact_sum sum = {0}, squares = {0};
    for (size_t i = 0; i < n; i++) add(&sum, (double)x[i * step] / scale);
    const double mean = total(&sum) / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i * step] / scale - mean;
        add(&squares, d * d);
    }
    return (statistics){mean, total(&squares) / (double)n};
}

/* Batch and layer normalisation of n numbers: scale, a power of two, times numbers `away` below
 * and above `mean` in turn, a little more in later columns, and noise. */
static void test_statistics(size_t n, double scale, double mean, double away, double noise,
                            double eps) {
    enum { ROWS = 3 };
    real *x = array(n * ROWS), *by_rows = output(n * ROWS);
    for (size_t i = 0; i < n * ROWS; i++) {
        const double d = away + 0.05 * (double)(i % ROWS) + noise * x[i];
        x[i] = (real)((i / ROWS % 2 ? mean + d : mean - d) * scale);
    }
    for (size_t i = 0; i < n * ROWS; i++) by_rows[i % ROWS * n + i / ROWS] = x[i];
    const size_t longest = n > ROWS ? n : ROWS;
    real *ones = filled(longest, 1), *halves = filled(longest, 0.5), *old = filled(ROWS, 0.25);
    real *out = output(n * ROWS), *hat = output(n * ROWS), *rstd = output(ROWS);
    real *row_out = output(n * ROWS), *row_hat = output(n * ROWS), *row_rstd = output(ROWS);
    real *next_mean = output(ROWS), *next_var = output(ROWS);
    KERNELS->batchnorm_forward(out, hat, rstd, next_mean, next_var, x, ones, halves, old, old, eps,
                               0, n, ROWS);
    KERNELS->layernorm_forward(row_out, row_hat, row_rstd, by_rows, ones, halves, eps, ROWS, n);
    const double g = gamma_of(roundings(n) + 8, EPSILON), greatest = FC_DOUBLE ? DBL_MAX : FLT_MAX;
    for (size_t j = 0; j < ROWS; j++) {
        const statistics s = statistics_of(x + j, n, ROWS, scale);
        const double spread = sqrt(s.var + eps / scale / scale), off = g * fabs(s.mean) / spread;
        /* the error of the mean goes into the variance squared */
        const double relative = g + off * off;
        check("rstd", j, rstd[j] * scale, 1 / spread, relative / spread);
        check("layernorm rstd", j, row_rstd[j] * scale, 1 / spread, relative / spread);
        const int beyond = sqrt(s.var) > sqrt(greatest) / scale;
        check("next_mean", j, next_mean[j], beyond ? 0.25 : s.mean * scale,
              beyond ? 0 : g * fabs(s.mean) * scale);
        check("next_var", j, next_var[j], beyond ? 0.25 : s.var * scale * scale,
              beyond ? 0 : 2 * relative * s.var * scale * scale + TINIEST);
        for (size_t i = 0; i < n; i++) {
            const size_t at = i * ROWS + j, row_at = j * n + i;
            const double expected = ((double)x[at] / scale - s.mean) / spread;
            const double bound = off + 2 * relative * (fabs(expected) + 1);
            check("x_normalized", at, hat[at], expected, bound);
            check("out", at, out[at], expected + 0.5, bound);
            check("layernorm x_normalized", at, row_hat[row_at], expected, bound);
            check("layernorm out", at, row_out[row_at], expected + 0.5, bound);
        }
    }
    free(x), free(by_rows), free(ones), free(halves), free(old), free(out), free(hat), free(rstd);
    free(row_out), free(row_hat), free(row_rstd), free(next_mean), free(next_var);
}

/* All examples are the same, so the mean is the loss of one. */
static void test_loss_of_many(size_t N) {
    real *x = output(2 * N), *dx = output(2 * N);
    int64_t *y = calloc(N, sizeof *y);
    double loss = NAN;
    for (size_t i = 0; i < N; i++) x[2 * i] = (real)0.1, x[2 * i + 1] = (real)0.7;
    const double difference = (double)x[1] - (double)x[0];
    const double bound = gamma_of(roundings(N) + 16, EPSILON);
    fc_loss of = {.kind = FC_SOFTMAX_LOSS, .labels = y};
    loss = KERNELS->data_loss(dx, x, &of, N, 2);
    check("softmax loss of many", N, loss, log1p(exp(difference)), 2 * bound);
    of.kind = FC_SVM_LOSS;
    loss = KERNELS->data_loss(dx, x, &of, N, 2);
    check("svm loss of many", N, loss, 1 + difference, 2 * bound);
    free(x), free(dx), free(y);
}

/* One class far ahead of C - 1 others alike: the sums of their exponentials and of their margins.
 */
static void test_many_classes(size_t C) {
    real *x = filled(C, 0.1), *dx = output(C);
    const int64_t y = 0;
    double loss = NAN;
    x[0] = 2;
    const double behind = (double)x[1] - 2, sum = 1 + (double)(C - 1) * exp(behind);
    const double g = gamma_of(roundings(C) + 8, EPSILON);
    fc_loss of = {.kind = FC_SOFTMAX_LOSS, .labels = &y};
    loss = KERNELS->data_loss(dx, x, &of, 1, C);
    check("softmax loss of classes", C, loss, log(sum), g + 4 * EPSILON * log(sum));
    x[0] = (real)-0.2;
    const double hinge = (double)(C - 1) * ((double)x[1] - (double)x[0] + 1);
    of.kind = FC_SVM_LOSS;
    loss = KERNELS->data_loss(dx, x, &of, 1, C);
    check("svm loss of classes", C, loss, hinge, g * hinge);
    free(x), free(dx);
}

static void test_sum_of_squares(size_t n) {
    real *x = filled(n, 285.3);
    exact_sum sum = {0};
    for (size_t i = 0; i < n; i++) add(&sum, (double)x[i] * (double)x[i]);
    /* a square's rounding; 64 parts are added one after the other */
    const double bound = gamma_of(roundings(n) + 65, DBL_EPSILON) * total(&sum);
    check("sum_of_squares", n, KERNELS->sum_of_squares(x, n), total(&sum), bound);
    free(x);
}

static void tests(void) {
    /* one block, two, three, and many, the last not whole; more columns than are summed at once */
    static const size_t lengths[] = {128, 129, 257, 1000, 20001};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        test_sums_over_batch(lengths[i], 5);
        test_statistics(lengths[i], 1, 9, 0.6, 0, 1e-5);
        test_statistics(lengths[i], 1, 300, 0.6, 0.2, 0);
        test_many_classes(lengths[i]);
    }
    test_sums_over_batch(700, 300);
    test_loss_of_many(1000);
    test_loss_of_many(70001);
    test_many_classes(70001);
    test_sum_of_squares(3000001);
    /* differences from the mean that overflow */
    test_statistics(3, ldexp(1, FC_DOUBLE ? 1023 : 127), 0, 1.85, 0, 1e-5);
    /* sums of squares that overflow; variances that do; squares that vanish, with and
     * without an eps of their size */
    const int over = FC_DOUBLE ? 510 : 62, beyond = FC_DOUBLE ? 1000 : 120;
    const int under = FC_DOUBLE ? -530 : -80;
    const int exponents[] = {over, beyond, under};
    static const size_t counts[] = {1, 2, 50, 300, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t j = 0; j < sizeof exponents / sizeof *exponents; j++) {
            const double scale = ldexp(1, exponents[j]);
            if (counts[i] > 1) test_statistics(counts[i], scale, 3, 0.6, 0.2, scale > 1 ? 1e-5 : 0);
            if (scale < 1) test_statistics(counts[i], scale, 3, 0.6, 0.2, scale * scale / 4);
        }
}

int main(void) { return under_every_isa(tests); }
