/* A network's scores in test mode, without anything that a backward pass would need, and bit for
 * bit what composing the single operations gives:
 *
 *   {affine - [normalisation] - activation} x (L - 1) - affine
 *
 * Normalisation and activation are the product's epilogue: a thread applies them to rows that it
 * has just completed, while they are in cache.
 *
 * Many rows are scored in blocks of nearly equal size, so that the work arrays stay small.  Where
 * there are several blocks, each has more than SMALL_M rows.  Neither their products nor one of all
 * rows at once are then split-K, which adds in another order, so the bits are the same. */
#ifndef FASTFC_NETWORK_INFERENCE_C
#define FASTFC_NETWORK_INFERENCE_C

#include "fastfc.h"
#include "gemm/gemm.c"
#include "gemm/macro_kernel.c"
#include "gemm/pack.c"
#include "ops/activations.c"
#include "ops/batchnorm.c"
#include "ops/layernorm.c"
#include "ops/reduce.c"
#include "ops/relu.c"
#include "simd/vec.h"
#include "split.h"

#include <stddef.h>

_Static_assert(FC_SCORES_ROWS > 2 * SMALL_M, "half a block is no small product");

ALWAYS_INLINE void normalize_some_rows(const fc_layer *l, real *block, size_t rows, int rectified) {
    if (l->layernorm)
        layernorm_inference_rows(block, l->gamma.w, l->beta.w, l->eps, rectified, rows, l->M,
                                 l->stride);
    else
        batchnorm_inference_rows(block, block, l->gamma.w, l->beta.w, l->running_mean,
                                 l->running_var, l->eps, rectified, rows, l->M, l->stride);
}

/* Batch normalisation by the running averages, or layer normalisation, of a block of eight rows, or
 * one, in place, followed by ReLU if `rectified`. */
NEVER_INLINE void normalize_block(const fc_layer *l, real *block, size_t rows, int rectified) {
    if (rows == ROWS_AT_ONCE)
        normalize_some_rows(l, block, ROWS_AT_ONCE, rectified);
    else
        normalize_some_rows(l, block, 1, rectified);
}

/* Epilogue: normalisation and activation, in place. */
static void activate_rows(const void *context, real *out, size_t first, size_t last) {
    const fc_layer *l = context;
    const size_t M = l->M, stride = l->stride;
    EACH_ROW_BLOCK(i, last - first, {
        real *block = out + i * stride;
        if (l->activation != FC_RELU) {
            if (l->gamma.w) normalize_block(l, block, rows, 0);
            if (l->activation != FC_IDENTITY)
                activate(l->activation, block, NULL, block, rows, M, stride);
        } else if (l->gamma.w) {
            normalize_block(l, block, rows, 1);
        } else {
            EACH_VECTOR(j, M, {
                for (size_t r = 0; r < rows; r++) {
                    real *at = block + r * stride + j;
                    vec_store(at, rectify(vec_load(at, lanes)), lanes);
                }
            });
        }
    });
}

/* scores: (N, C).  x: (N, D). */
static void network_scores(real *scores, const fc_network *net, const real *x) {
    const fc_layer *layers = net->layers, *last = layers + net->count - 1;
    const size_t blocks = ceil_div(net->N, FC_SCORES_ROWS);
    for (size_t block = 0; block < blocks && !fc_look(); block++) {
        const size_t first = share_start(net->N, blocks, block);
        const size_t rows = share_start(net->N, blocks, block + 1) - first;
        matrix input = {x + first * layers->D, layers->D, 1, 0};
        for (const fc_layer *l = layers; l < last; l++) {
            const gemm_options options = {
                .bias = l->b.w, .looks_for_zeros = l == layers, .epilogue = {activate_rows, l, 0}};
            gemm(l->out, l->stride, input, (matrix){l->w.w, l->M, 1, 0}, options, rows, l->M, l->D,
                 net->workspace);
            input = (matrix){l->out, l->stride, 1, 1};
        }
        gemm(scores + first * last->M, last->M, input, (matrix){last->w.w, last->M, 1, 0},
             (gemm_options){.bias = last->b.w}, rows, last->M, last->D, net->workspace);
    }
}

#endif
