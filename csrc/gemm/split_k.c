/* A matrix product whose depth is divided among tasks (split-K): see gemm.c. */
#ifndef FASTFC_GEMM_SPLIT_K_C
#define FASTFC_GEMM_SPLIT_K_C

#include "fastfc.h"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "gemm/zeros.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

/* Whether the depth is divided among tasks. */
static int is_split_k(const gemm_job *p) {
    return p->m <= SMALL_M && p->n <= SMALL_N && p->parts >= 3;
}

/* Row stride of the partial sums: whole cache lines, so that tasks that add up some columns share
 * none. */
static size_t sums_stride(const gemm_job *p) {
    const size_t line = 64 / sizeof(real);
    return ceil_div(p->n, line) * line;
}

/* Task: the partial sum of one part of the depth. */
static void split_k_task(void *context, size_t part, void *scratch) {
    const gemm_job *p = context;
    real *packed_b = scratch, *packed_a = packed_b + KC * (SMALL_N + NV * LANES);
    const size_t stride = sums_stride(p), end = part_start(p, part + 1);
    real *sum = p->shared + part * p->m * stride;
    if (p->options.fill_a) p->options.fill_a(p->options.fill_context, part_start(p, part), end);
    for (size_t start = part_start(p, part), k; start < end && !fc_look(); start += k) {
        k = min_size(end - start, KC);
        const real *addend = start > part_start(p, part) ? sum : NULL;
        b_block b = prepare_b_block(submatrix(p->b, start, 0), p->n, k, p->m, packed_b);
        b.leaves_zeros = p->options.looks_for_zeros &&
                         is_mostly_zeros(submatrix(p->a, 0, start), p->m, p->n, k) &&
                         is_finite_block(submatrix(p->b, start, 0), k, p->n);
        macro_kernel(p, 0, ceil_div(p->m, MR), start, sum, stride, addend, addend ? stride : 0, &b,
                     packed_a, (rows_of_a){p->a, 0});
    }
}

/* Adds up the partial sums, and the bias: rows start to end - 1 of some columns of c. */
static void split_k_reduce(const gemm_job *p, size_t start, size_t end, size_t column,
                           size_t columns) {
    const real *bias = p->options.bias ? p->options.bias + column : NULL;
    const size_t stride = sums_stride(p);
    for (size_t i = start; i < end; i++)
        EACH_VECTOR(j, columns, {
            vec sum = bias ? vec_load(bias + j, lanes) : (vec){0};
            for (size_t part = 0; part < p->parts; part++)
                sum += vec_load(p->shared + (part * p->m + i) * stride + column + j, lanes);
            vec_store(p->c + i * p->ldc + column + j, sum, lanes);
        });
}

static void split_k_reduce_task(void *context, size_t task, void *scratch) {
    (void)scratch;
    const gemm_job *p = context;
    const size_t start = share_start(p->m, p->row_tasks, task);
    const size_t end = share_start(p->m, p->row_tasks, task + 1);
    split_k_reduce(p, start, end, 0, p->n);
    if (p->options.epilogue.run)
        p->options.epilogue.run(p->options.epilogue.context, p->c + start * p->ldc, start, end);
}

/* Computes the partial sums that split_k_reduce adds up. */
static void split_k_multiply(gemm_job *p) {
    p->parts = min_size(p->parts, MOST_PARTS);
    run_tasks(p, split_k_task, p->parts);
}

#endif
