/* The peak arithmetic rate of this instruction set, for the benchmarks to compare with: x = x a + b
 * on CHAINS vectors that stay in registers and do not depend on each other.
 *
 * A core starts two multiply-adds a cycle, each with a latency of four or five: eight to ten
 * independent chains keep it busy.  Twelve still fit 16 registers, beside a, b and, without fused
 * multiply-add, the product. */
#ifndef FASTFC_GEMM_PEAK_C
#define FASTFC_GEMM_PEAK_C

#include "fastfc.h"
#include "simd/vec.h"

#include <stddef.h>

enum { CHAINS = 12 };

static void peak_task(void *context, size_t index, void *scratch) {
    const size_t rounds = *(const size_t *)context;
    volatile real factor = (real)0.5, kept; /* volatile: nothing is folded or dropped */
    const vec a = vec_set(factor), b = vec_set((real)1 + (real)index);
    vec x[CHAINS];
    (void)scratch;
    UNROLL_ALL
    for (int i = 0; i < CHAINS; i++) x[i] = vec_set(factor * (real)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL_ALL
        for (int i = 0; i < CHAINS; i++) x[i] = vec_fma(x[i], a, b);
    }
    UNROLL_ALL
    for (int i = 1; i < CHAINS; i++) x[0] += x[i];
    kept = vec_reduce_add(x[0]);
    (void)kept;
}

/* Runs `tasks` of so many rounds each, on the threads in use; returns how many operations that
 * were, a multiplication and an addition being one each. */
static double peak(size_t tasks, size_t rounds) {
    const size_t operations = (size_t)2 * CHAINS * LANES;
    fc_run(peak_task, &rounds, tasks, NULL);
    return (double)tasks * (double)rounds * (double)operations;
}

#endif
