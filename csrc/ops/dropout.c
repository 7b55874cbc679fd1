/* Inverted dropout (Srivastava et al. 2014); p is the probability of keeping a unit, or, with drop,
 * of dropping one:
 *
 *   mask = (u < p) / p  or  (u >= p) / (1 - p),   u uniform in [0, 1)
 *   out  = x * mask,   dx = dout * mask
 *
 * mask holds 0 and the scale, which is rounded to the dtype.  All arrays have n elements.  u comes
 * from NumPy's own stream, whose state is left where NumPy's rand would leave it (mt19937.c), or
 * from a counter-based generator (philox.c).  Some rows of a larger array are dropped by themselves
 * after mt19937_skip, or by Philox from their place on. */
#ifndef FASTFC_OPS_DROPOUT_C
#define FASTFC_OPS_DROPOUT_C

#include "fastfc.h"
#include "ops/elementwise.c"
#include "ops/mt19937.c"
#include "ops/philox.c"
#include "simd/vec.h"
#include "simd/words.h"

#include <stddef.h>
#include <stdint.h>

/* Draws at a time: those of four twists of the generator's state, 5 KB. */
enum { DROPOUT_BLOCK = 4 * MT19937_BLOCK };

/* out = x * mask: the forward pass with a given mask, and the backward pass.  out may be x. */
static void dropout_apply_task(void *context, size_t part, void *scratch) {
    (void)scratch;
    const elementwise_job *c = context;
    EACH_VECTOR_OF_PART(i, c, part, {
        vec_store(c->out + i, vec_load(c->a + i, lanes) * vec_load(c->b + i, lanes), lanes);
    });
}

static void dropout_apply(real *out, const real *x, const real *mask, size_t n) {
    run_elementwise(dropout_apply_task, out, x, mask, n);
}

/* What a kept unit is multiplied by. */
static real dropout_scale(double p, int drop) { return 1 / (real)(drop ? 1 - p : p); }

/* mask = scale where a unit is kept, 0 elsewhere; out = x * mask.  A unit is kept where
 * `below` is set, or, with drop, where it is not; `below` is read up to a whole vector. */
static void dropout_mask(real *out, real *mask, const uint32_t *below, const real *x, double p,
                         int drop, size_t n) {
    const vec scale = vec_set(dropout_scale(p, drop)), zero = {0};
    const vec low = drop ? zero : scale, high = drop ? scale : zero;
    EACH_VECTOR(i, n, {
        const vec m = vec_select(vec_mask_load(below + i), low, high);
        vec_store(mask + i, m, lanes);
        vec_store(out + i, vec_load(x + i, lanes) * m, lanes);
    });
}

static void dropout_forward(real *out, real *mask, fc_mt19937 *state, const real *x, double p,
                            int drop, size_t n) {
    uint32_t below[DROPOUT_BLOCK + WORD_LANES] = {0};
    for (size_t i = 0; i < n && !fc_look(); i += DROPOUT_BLOCK) {
        const size_t count = n - i < DROPOUT_BLOCK ? n - i : DROPOUT_BLOCK;
        mt19937_below(below, state, p, count);
        dropout_mask(out + i, mask + i, below, x + i, p, drop, count);
    }
}

/* x is elements `first` to first + n - 1 of a larger array, which has a word of the stream each. */
static void dropout_philox(real *out, real *mask, const real *x, uint64_t key, uint64_t first,
                           double p, int drop, size_t n) {
    uint32_t below[PHILOX_BLOCK + WORD_LANES] = {0};
    size_t before = first % 4, count; /* words of the first block that are not wanted */
    for (size_t i = 0; i < n && !fc_look(); i += count, before = 0) {
        count = n - i < PHILOX_BLOCK - before ? n - i : PHILOX_BLOCK - before;
        philox_below(below, key, first + i - before, p, before + count);
        dropout_mask(out + i, mask + i, below + before, x + i, p, drop, count);
    }
}

#endif
