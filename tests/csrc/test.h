/* What the C tests share: heap arrays of exactly the size needed, outputs that start as NaN, checks
 * that count passes and failures, and a loop over the instruction sets that this machine runs.
 *
 * Each test is compiled once with FC_DOUBLE=0 and once with FC_DOUBLE=1. */
#ifndef FASTFC_TEST_H
#define FASTFC_TEST_H

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

static inline double uniform(void) { /* in [-1, 1); a fixed sequence */
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}

static inline real *array(size_t n) {
    real *a = calloc(n, sizeof(real)); /* GCC may see no element set */
    for (size_t i = 0; i < n; i++) a[i] = (real)uniform();
    return a;
}

static inline real *output(size_t n) {
    real *a = aligned_alloc(64, (n * sizeof(real) + 63) / 64 * 64);
    for (size_t i = 0; i < n; i++) a[i] = NAN;
    return a;
}

/* |got - expected| <= bound, where both may be NaN. */
static inline void check(const char *what, size_t at, double got, double expected, double bound) {
    if (fabs(got - expected) <= bound || (isnan(got) && isnan(expected))) {
        passed++;
        return;
    }
    if (failed++ < 20)
        printf("%s[%zu]: %.17g, expected %.17g within %.3g\n", what, at, got, expected, bound);
}

/* The same bits: zeros of one sign, and NaNs of one payload. */
static inline void check_bits(const char *what, size_t at, real got, real expected) {
    if (memcmp(&got, &expected, sizeof got) == 0)
        passed++;
    else if (failed++ < 20)
        printf("%s[%zu]: bits of %g, expected %g\n", what, at, got, expected);
}

/* A sum of n rounded products differs from the exact one by at most gamma_n times the sum of their
 * absolute values (Higham 2002, 3.1), gamma_n = n u / (1 - n u), u = EPSILON / 2; n + 2
 * instead of n allows for two roundings outside the sum. */
static inline double sum_bound(size_t n, double absolute) {
    const double nu = (double)(n + 2) * EPSILON / 2;
    return nu / (1 - nu) * absolute;
}

/* N, D and M of the products that are tested, chosen to reach every way that gemm cuts one. */
static const size_t products[][3] = {
    {1, 1, 1},    {0, 3, 4},       {3, 0, 4},      {3, 4, 0},       {2, 3, 5},
    {6, 16, 16},  {7, 17, 33},     {13, 257, 31},  {100, 300, 100}, {121, 64, 10},
    {5, 31, 513}, {25, 513, 1030}, {29, 5000, 33},
};

/* Seeds MT19937 with 5489 as its authors do, who publish output 10000: 4123659995. */
static inline void seed_mt19937(fc_mt19937 *state) {
    state->key[0] = 5489;
    for (uint32_t i = 1; i < 624; i++)
        state->key[i] = 1812433253u * (state->key[i - 1] ^ state->key[i - 1] >> 30) + i;
    state->pos = 624;
}

/* valgrind takes denormals for what they are, whatever the mode: make memcheck says that it runs.
 */
static inline int under_valgrind(void) { return getenv("FASTFC_MEMCHECK") != NULL; }

/* Runs `tests` under every instruction set; returns main's status. */
static inline int under_every_isa(void (*tests)(void)) {
    for (int isa = 0; isa < fc_isa_count(); isa++) {
        if (fc_isa_use(isa) != 0) {
            printf("%s: not on this machine\n", fc_isa_name(isa));
            continue;
        }
        const long failed_before = failed;
        tests();
        printf("%s: %s\n", fc_isa_name(isa), failed > failed_before ? "FAILED" : "ok");
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}

#endif
