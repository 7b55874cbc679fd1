/* All operations of one (instruction set, dtype): compiled once for each, with
 *
 *   FC_ISA     name of the instruction set: baseline, avx2, avx512, neon, wide
 *   FC_DOUBLE  0 for float32, 1 for float64
 *   VEC_BYTES  width of a vector
 *
 * Everything but the table is static, so the copies do not clash.  Included files include what they
 * use; here are those with an operation of the table. */
#include "fastfc.h"
#include "gemm/gemm.c"
#include "ops/affine.c"
#include "ops/finite.c"
#include "ops/gather.c"
#include "ops/relu.c"
#include "ops/activations.c"
#include "ops/batchnorm.c"
#include "ops/layernorm.c"
#include "ops/mt19937.c"
#include "ops/philox.c"
#include "ops/dropout.c"
#include "ops/loss.c"
#include "ops/norm.c"
#include "ops/update_rules.c"
#include "network/steps.c"
#include "network/inference.c"
#include "network/predictor.c"
#include "gemm/peak.c"

#define JOIN_(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#if FC_DOUBLE
#define TABLE_TYPE fc_kernels_f64
#define TABLE_NAME JOIN(fc_kernels_, FC_ISA, _f64)
#else
#define TABLE_TYPE fc_kernels_f32
#define TABLE_NAME JOIN(fc_kernels_, FC_ISA, _f32)
#endif

extern const TABLE_TYPE TABLE_NAME;
const TABLE_TYPE TABLE_NAME = {
    .product = gemm_plain,
    .affine_forward = affine_forward,
    .affine_backward = affine_backward,
    .gather = gather,
    .all_finite = all_finite,
    .relu_forward = relu_forward,
    .relu_backward = relu_backward,
    .activation_forward = activation_forward,
    .activation_backward = activation_backward,
    .exponential = exponential,
    .batchnorm_forward = batchnorm_forward,
    .batchnorm_inference = batchnorm_inference,
    .batchnorm_backward = batchnorm_backward,
    .layernorm_forward = layernorm_forward,
    .layernorm_backward = layernorm_backward,
    .mt19937_keep = mt19937_keep,
    .mt19937_skip = mt19937_skip,
    .dropout_forward = dropout_forward,
    .philox_words = philox_words,
    .philox_keep = philox_keep,
    .dropout_philox = dropout_philox,
    .dropout_apply = dropout_apply,
    .data_loss = data_loss,
    .sgd = sgd,
    .sgd_momentum = sgd_momentum,
    .sgd_nesterov_momentum = sgd_nesterov_momentum,
    .rmsprop = rmsprop,
    .adam = adam,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
    .update = update,
    .network_steps = network_steps,
    .network_scores = network_scores,
    .copy_weights = copy_weights,
    .predict = predict,
    .peak = peak,
};
