/* Exponential, activations and their slopes against the C library's functions in a wider type: for
 * float every argument with FASTFC_TRUST=1, else some of them; for double some.  Errors are in
 * units in the last place of the result, of slopes in those of 1.  Each function has the bound that
 * its file states. */
#include "test.h"

#if FC_DOUBLE
typedef long double wide;
#define WIDE(function) function##l
typedef uint64_t bits;
#define MANTISSA DBL_MANT_DIG
#define LEAST_EXPONENT DBL_MIN_EXP
#define SLACK 0.05 /* for the C library's own errors */
#else
typedef double wide;
#define WIDE(function) function
typedef uint32_t bits;
#define MANTISSA FLT_MANT_DIG
#define LEAST_EXPONENT FLT_MIN_EXP
#define SLACK 0
#endif

#define ROOT_HALF 0.707106781186547524400844362104849039L

static wide exact_exp(wide x) { return WIDE(exp)(x); }
static wide exact_logistic(wide x) {
    return x < 0 ? WIDE(exp)(x) / (1 + WIDE(exp)(x)) : 1 / (1 + WIDE(exp)(-x));
}
static wide exact_tanh(wide x) { return WIDE(tanh)(x); }
static wide exact_silu(wide x) { return isinf(x) && x < 0 ? 0 : x * exact_logistic(x); }
static wide exact_silu_slope(wide x) {
    const wide s = exact_logistic(x);
    return isinf(x) ? x > 0 : s + x * s * exact_logistic(-x);
}
static wide exact_phi(wide x) { return WIDE(erfc)(-x * (wide)ROOT_HALF) / 2; }
static wide exact_gelu(wide x) { return isinf(x) && x < 0 ? 0 : x * exact_phi(x); }
static wide exact_gelu_slope(wide x) {
    const wide density = (wide)0.398942280401432677939946059934381868L;
    return isinf(x) ? x > 0 : exact_phi(x) + x * density * WIDE(exp)(-x * x / 2);
}

/* Elements at a time; ones is as long. */
enum { PART = 1 << 16 };
static real ones[PART];

static void run_exp(real *out, const real *x, size_t n) { KERNELS->exponential(out, x, n); }
static void run_logistic(real *out, const real *x, size_t n) {
    KERNELS->activation_forward(out, x, FC_LOGISTIC, n);
}
static void run_tanh(real *out, const real *x, size_t n) {
    KERNELS->activation_forward(out, x, FC_TANH, n);
}
static void run_silu(real *out, const real *x, size_t n) {
    KERNELS->activation_forward(out, x, FC_SILU, n);
}
static void run_gelu(real *out, const real *x, size_t n) {
    KERNELS->activation_forward(out, x, FC_GELU, n);
}
static void run_silu_slope(real *out, const real *x, size_t n) {
    KERNELS->activation_backward(out, ones, x, FC_SILU, n);
}
static void run_gelu_slope(real *out, const real *x, size_t n) {
    KERNELS->activation_backward(out, ones, x, FC_GELU, n);
}

typedef struct {
    const char *name;
    void (*run)(real *out, const real *x, size_t n);
    wide (*exact)(wide x);
    int is_slope;
    double bound[4]; /* as csrc states them: float32 with FMA and without, float64 the same */
} function;

static const function functions[] = {
    {"exp", run_exp, exact_exp, 0, {0.94, 1.22, 0.9, 1.2}},
    {"logistic", run_logistic, exact_logistic, 0, {2.41, 2.41, 2.4, 2.4}},
    {"tanh", run_tanh, exact_tanh, 0, {2.50, 2.50, 2.6, 2.6}},
    {"silu", run_silu, exact_silu, 0, {3.61, 3.68, 3.4, 3.4}},
    {"gelu", run_gelu, exact_gelu, 0, {5.37, 6.76, 4.7, 6.3}},
    {"silu's slope", run_silu_slope, exact_silu_slope, 1, {1.01, 1.01, 1.0, 1.0}},
    {"gelu's slope", run_gelu_slope, exact_gelu_slope, 1, {1.34, 1.68, 1.4, 1.7}},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions, MOST_ISAS = 8 };

/* |got - exact| in units in the last place of exact, or of 1. */
static double units(real got, wide exact, int of_1) {
    const real rounded = (real)exact;
    if (isnan(exact)) return isnan(got) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(got)) return got == rounded ? 0 : INFINITY;
    int exponent;
    WIDE(frexp)(exact, &exponent);
    if (exact == 0 || exponent < LEAST_EXPONENT) exponent = LEAST_EXPONENT;
    if (of_1) exponent = 1;
    return (double)WIDE(ldexp)(WIDE(fabs)((wide)got - exact), MANTISSA - exponent);
}

typedef struct {
    double error;
    real at;
} worst;

static void note(worst *found, double error, real at) {
    if (error > found->error) *found = (worst){error, at};
}

/* Every function under every instruction set at n arguments; exact values are computed once, and
 * the same results measured once. */
static void measure(worst found[MOST_ISAS][FUNCTIONS], const real *x, size_t n) {
    static wide exact[PART];
    static real out[2][PART];
    for (int f = 0; f < FUNCTIONS; f++) {
        const function *of = &functions[f];
        real *results = out[0], *before = out[1];
        worst part = {0, 0};
        for (size_t i = 0; i < n; i++) exact[i] = of->exact((wide)x[i]), before[i] = -7;
        for (int isa = 0; isa < fc_isa_count(); isa++) {
            if (fc_isa_use(isa) != 0) continue;
            for (size_t i = 0; i < n; i++) results[i] = -7;
            of->run(results, x, n);
            if (memcmp(results, before, n * sizeof *results) != 0) {
                part = (worst){0, 0};
                for (size_t i = 0; i < n; i++)
                    if (part.error < 0.5 || results[i] != (real)exact[i])
                        note(&part, units(results[i], exact[i], of->is_slope), x[i]);
            }
            note(&found[isa][f], part.error, part.at);
            real *swap = results;
            results = before, before = swap;
        }
    }
}

static real from_bits(uint64_t wanted) {
    const bits b = (bits)wanted;
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

static int trust(void) {
    const char *text = getenv("FASTFC_TRUST");
    return text && *text && strcmp(text, "0") != 0;
}

/* Whether the wider functions are exacter.  Those of long double are not where it is double, nor in
 * musl where it has 128 bits, as in WebAssembly. */
static int can_compare(void) {
    const real tried[] = {(real)0.1, (real)0.3, (real)0.7};
    for (int i = 0; i < 3; i++)
        if (WIDE(exp)(tried[i]) != (wide)exp((double)tried[i])) return 1;
    return !FC_DOUBLE;
}

int main(void) {
    if (!can_compare()) {
        puts("skipped: no function of the C library is exacter than double");
        return 0;
    }
    static worst found[MOST_ISAS][FUNCTIONS];
    static real x[PART];
    for (size_t i = 0; i < PART; i++) ones[i] = 1;
    /* every argument of float is a number below 2^32 */
    const uint64_t some = FC_DOUBLE ? ((uint64_t)65521 << 32) + 12345677 : 8191;
    const uint64_t step = FC_DOUBLE || !trust() ? some : 1;
    const uint64_t last = FC_DOUBLE ? UINT64_MAX : UINT32_MAX;
    size_t n = 0;
    for (uint64_t b = 0;; b += step) {
        x[n++] = from_bits(b);
        const int end = last - b < step;
        if (n == PART || end) measure(found, x, n), n = 0;
        if (end) break;
    }
    /* densely where most is going on: near 0 and around the ends of the results' range */
    const long dense = trust() ? 10000000 : FC_DOUBLE ? 60000 : 200000;
    for (long i = 0; i < dense; i++) {
        const double span = i % 3 == 0 ? 2 : i % 3 == 1 ? 20 : FC_DOUBLE ? 800 : 120;
        x[n++] = (real)(span * uniform());
        if (n == PART || i + 1 == dense) measure(found, x, n), n = 0;
    }
    for (int isa = 0; isa < fc_isa_count(); isa++) {
        if (fc_isa_use(isa) != 0) continue;
        const int column = 2 * FC_DOUBLE + (strcmp(fc_isa_name(isa), "baseline") == 0);
        for (int f = 0; f < FUNCTIONS; f++) {
            const worst *w = &found[isa][f];
            printf("%s%s, %s: %.3f units in the last place at %.9g\n", trust() ? "trust: " : "",
                   fc_isa_name(isa), functions[f].name, w->error, (double)w->at);
            check(functions[f].name, (size_t)isa, w->error, 0, functions[f].bound[column] + SLACK);
        }
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
