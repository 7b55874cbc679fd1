/* The loss of scores x (N, C) by what an fc_loss says of it: class_loss.c has those of labels,
 * target_loss.c those of targets.  loss: one number; dx (N, C): its gradient with respect to x,
 * set. N, C >= 1. */
#ifndef FASTFC_OPS_LOSS_C
#define FASTFC_OPS_LOSS_C

#include "fastfc.h"
#include "ops/class_loss.c"
#include "ops/loss_rows.c"
#include "ops/target_loss.c"
#include "simd/vec.h"

#include <stddef.h>

static loss_of_rows rows_of_loss(const fc_loss *loss) {
    static const loss_of_rows rows[] = {
        [FC_SOFTMAX_LOSS] = softmax_rows,
        [FC_SVM_LOSS] = svm_rows,
        [FC_LOGISTIC_LOSS] = logistic_rows,
        [FC_SQUARED_ERROR_LOSS] = squared_error_rows,
        [FC_ABSOLUTE_ERROR_LOSS] = absolute_error_rows,
        [FC_HUBER_LOSS] = huber_rows,
        [FC_QUANTILE_LOSS] = quantile_rows,
        [FC_POISSON_LOSS] = poisson_rows,
    };
    return rows[loss->kind];
}

static double data_loss(real *dx, const real *x, const fc_loss *loss, size_t N, size_t C) {
    const loss_job job = make_loss_job(dx, x, loss, N, C);
    return mean_loss(rows_of_loss(loss), &job);
}

#endif
