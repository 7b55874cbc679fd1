/* Elementwise operations of one or two arrays: long ones are cut into tasks. */
#ifndef FASTFC_OPS_ELEMENTWISE_C
#define FASTFC_OPS_ELEMENTWISE_C

#include "fastfc.h"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

typedef struct {
    real *out;
    const real *a, *b;
    size_t n;
} elementwise_job;

/* Elements of a task, several microseconds of work. */
enum { ELEMENTWISE_PART = 1 << 15 };

static void run_elementwise(fc_task task, real *out, const real *a, const real *b, size_t n) {
    elementwise_job c = {out, a, b, n};
    fc_run(task, &c, ceil_div(n, ELEMENTWISE_PART), NULL);
}

/* Runs the statements for each vector of a task's part of the arrays. */
#define EACH_VECTOR_OF_PART(i, c, part, ...)                                                       \
    do {                                                                                           \
        const size_t start_ = (part) * ELEMENTWISE_PART;                                           \
        EACH_VECTOR(i_, min_size((c)->n - start_, ELEMENTWISE_PART), {                             \
            const size_t i = start_ + i_;                                                          \
            __VA_ARGS__                                                                            \
        });                                                                                        \
    } while (0)

#endif
