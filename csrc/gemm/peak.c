/* The most arithmetic that this instruction set can do, for the benchmarks to compare with:
 * x = x a + b on CHAINS vectors that stay in registers and do not wait for each other.
 *
 * Two multiply-adds start every cycle and take four or five: eight to ten chains fill them. Twelve
 * still fit the 16 registers beside a, b and the intermediate product of a set without fused ones.
 */
#ifndef FASTFC_GEMM_PEAK_C
#define FASTFC_GEMM_PEAK_C

#include "fastfc.h"
#include "simd/vec.h"

#include <stddef.h>

enum { CHAINS = 12 };

static void peak_task(void *context, size_t index, void *scratch) {
    const size_t rounds = *(const size_t *)context;
    volatile real factor = (real)0.5, kept; /* unknown to the compiler, and looked at in the end */
    const vec a = vec_set(factor), b = vec_set((real)1 + (real)index);
    vec x[CHAINS];
    (void)scratch;
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) x[i] = vec_set(factor * (real)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) x[i] = vec_fma(x[i], a, b);
#pragma GCC unroll 12
    for (int i = 1; i < CHAINS; i++) x[0] += x[i];
    kept = vec_reduce_add(x[0]);
    (void)kept;
}

/* Runs `tasks` of so many rounds each, on the threads in use; returns how many operations that
 * were, a multiplication and an addition being one each. */
static double peak(size_t tasks, size_t rounds) {
    fc_run(peak_task, &rounds, tasks, NULL);
    return 2.0 * (double)tasks * (double)rounds * CHAINS * LANES;
}

#endif
