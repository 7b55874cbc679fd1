/* Inverted dropout (Srivastava et al. 2014); p is the probability of keeping a unit:
 *
 *   mask = (u < p) / p,   u uniform in [0, 1)
 *   out  = x * mask,      dx = dout * mask
 *
 * mask holds 0 and 1/p; 1/p is rounded to the dtype.  All arrays have n elements.  The draws are
 * those of NumPy's rand, and state is left where rand would leave it (see random.c). */

/* out = x * mask: the forward pass with a given mask, and the backward pass.  out may be x. */
static void dropout_apply(real *out, const real *x, const real *mask, size_t n) {
    EACH_VECTOR(i, n,
                { vec_store(out + i, vec_load(x + i, lanes) * vec_load(mask + i, lanes), lanes); });
}

static void dropout_forward(real *out, real *mask, fc_mt19937 *state, const real *x, double p,
                            size_t n) {
    const uint64_t threshold = mt19937_threshold(p);
    const real scale = 1 / (real)p;
    uint64_t draws[MT19937_BLOCK];
    for (size_t i = 0; i < n; i += MT19937_BLOCK) {
        const size_t count = n - i < MT19937_BLOCK ? n - i : MT19937_BLOCK;
        mt19937_draw(draws, state, count);
        for (size_t j = 0; j < count; j++) mask[i + j] = draws[j] < threshold ? scale : 0;
        dropout_apply(out + i, x + i, mask + i, count);
    }
}
