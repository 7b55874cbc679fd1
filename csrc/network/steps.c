/* Training steps in one call: what a caller does between two of them, without coming back.
 *
 * Each step takes the next rows of an order, or draws those of a minibatch as np.random.randint
 * would; draws layers' keys as next_uint64 does, then masks, all from one stream; takes labels or
 * targets, and weights, of its rows; and is the step that train.c has.  The bits are those of as
 * many calls of one step each.
 *
 * A step with news ends the call before it, so that its caller can take it by itself and say what
 * there is to say: a loss that is not finite, a variance beyond the dtype, a label that is none, a
 * target that the loss is not for, weights that have no sum.
 * Then parameters, running averages and the generator's state are those that the step began with.
 * So they are where a signal ends the call before a step has begun to update.
 */
#ifndef FASTFC_NETWORK_STEPS_C
#define FASTFC_NETWORK_STEPS_C

#include "fastfc.h"
#include "network/train.c"
#include "ops/gather.c"
#include "ops/loss_rows.c"
#include "ops/mt19937.c"
#include "ops/statistics.c"
#include "simd/vec.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static int64_t label_of(const fc_labels *labels, int64_t row) {
    const void *y = (const char *)labels->y + row * labels->stride;
    switch (labels->is_signed ? labels->bytes : -labels->bytes) {
    case 1:
        return *(const int8_t *)y;
    case -1:
        return *(const uint8_t *)y;
    case 2:
        return *(const int16_t *)y;
    case -2:
        return *(const uint16_t *)y;
    case 4:
        return *(const int32_t *)y;
    case -4:
        return *(const uint32_t *)y;
    default: /* of 8 bytes: what is negative as int64_t is no label either way */
        return *(const int64_t *)y;
    }
}

/* Sets the rows of step number `step`; returns how many. */
static size_t choose_rows(const fc_steps *s, const fc_network *net, size_t step) {
    if (s->order) {
        const size_t N = (size_t)(s->start[step + 1] - s->start[step]);
        memcpy(s->index, s->order + s->start[step], N * sizeof *s->index);
        return N;
    }
    mt19937_rows(s->index, s->state, s->examples, net->N);
    return net->N;
}

static void draw_keys(const fc_steps *s, const fc_network *net) {
    for (size_t i = 0; i + 1 < net->count && s->draws_keys; i++) {
        const uint64_t high = mt19937_word(s->state), low = mt19937_word(s->state);
        net->layers[i].key = high << 32 | low;
    }
}

/* Whether all targets of the rows are of those that the loss is for. */
static int valid_targets(const fc_loss *loss, size_t n) {
    const real *y = loss->targets;
    const real most = loss->kind == FC_LOGISTIC_LOSS ? 1 : (real)INFINITY;
    int valid = 1;
    if (loss->kind == FC_LOGISTIC_LOSS || loss->kind == FC_POISSON_LOSS)
        for (size_t i = 0; i < n; i++) valid &= y[i] >= 0 && y[i] <= most;
    return valid;
}

/* Takes what the loss needs of the step's rows.  Returns whether that is what it is for. */
static int take_labels(const fc_steps *s, const fc_network *net) {
    const size_t N = net->N, M = net->layers[net->count - 1].M;
    int valid = 1;
    if (s->target) {
        gather(s->target, &s->targets, N, M);
        valid = valid_targets(&net->loss, N * M);
    } else
        for (size_t i = 0; i < N; i++) {
            s->y[i] = label_of(&s->labels, s->index[i]);
            valid &= s->y[i] >= 0 && s->y[i] < (int64_t)M;
        }
    for (size_t i = 0; s->weights && i < N; i++) {
        s->weight[i] = s->weights[s->index[i]];
        valid &= s->weight[i] >= 0;
    }
    const double sum = s->weights ? sum_weights(s->weight, N) : 1;
    return valid && sum > 0 && isfinite(sum);
}

/* Prefetches the labels of a step's rows, which may be anywhere in y: while the step before it goes
 * on, they come from memory. */
static void prefetch_labels(const fc_steps *s, size_t step) {
    if (!s->order || s->target || step >= s->most) return;
    for (int64_t i = s->start[step]; i < s->start[step + 1]; i++)
        __builtin_prefetch((const char *)s->labels.y + s->order[i] * s->labels.stride);
}

/* Makes the results of one step the arguments of the next. */
static void advance(const fc_network *net) {
    for (size_t i = 0; i < net->count; i++) {
        fc_layer *l = &net->layers[i];
        for (int j = 0; j < 4; j++) {
            fc_param *p = &l->params[j];
            if (!p->w) continue;
            p->w = p->next_w;
            for (int k = 0; k < FC_STATES; k++) p->state[k] = p->next_state[k];
            if (net->rule == FC_ADAM || net->rule == FC_ADAMW) p->number[FC_T]++;
        }
        if (!l->next_mean) continue;
        l->running_mean = l->next_mean, l->running_var = l->next_var;
        l->next_mean = l->spare_mean, l->next_var = l->spare_var;
        l->spare_mean = (void *)l->running_mean;
        l->spare_var = (void *)l->running_var;
    }
}

static void set_numbers(const fc_steps *s, const fc_network *net, size_t step) {
    for (size_t i = 0; i < 4 * net->count; i++) {
        double *number = net->layers[i / 4].params[i % 4].number;
        if (s->factor) number[0] = s->base[i] * s->factor[step];
        if (s->epsilon) number[FC_EPSILON] = s->epsilon[step];
    }
}

/* Whether a variance of the step is beyond the dtype, so that a running average stays. */
static int any_variance_beyond(const fc_network *net) {
    for (size_t i = 0; i + 1 < net->count; i++) {
        const fc_layer *l = &net->layers[i];
        if (l->gamma.w && !l->layernorm && any_beyond(l->rstd, l->M)) return 1;
    }
    return 0;
}

/* Takes steps; returns how many.  x: as net->rows says; NULL where there are rows. */
static size_t network_steps(const fc_steps *s, const fc_network *given, const void *x) {
    const int64_t start = fc_nanoseconds();
    const int refuses = given->rule != FC_NO_UPDATE && !given->takes_nonfinite;
    size_t taken = 0;
    while (taken < s->most) {
        fc_network net = *given;
        fc_mt19937 before;
        int valid = 1;
        if (taken > 0) advance(&net);
        set_numbers(s, &net, taken);
        if (s->state) before = *s->state;
        if (s->examples) {
            net.N = choose_rows(s, &net, taken);
            draw_keys(s, &net);
            valid = take_labels(s, &net);
        }
        if (s->alpha)
            net.reg = *s->alpha / (s->weights ? sum_weights(s->weight, net.N) : (double)net.N);
        if (valid) s->loss[taken] = network_loss(&net, x);
        if (!valid || (refuses && !isfinite(s->loss[taken])) ||
            (s->examples && any_variance_beyond(&net)) ||
            (net.rule != FC_NO_UPDATE && !fc_finish())) {
            if (s->state) *s->state = before;
            break;
        }
        prefetch_labels(s, taken + 1);
        network_update(&net, x);
        const int64_t spent = fc_nanoseconds() - start;
        if (s->time) s->time[taken] = spent;
        taken++;
        if (spent >= s->nanoseconds) break;
    }
    return taken;
}

#endif
