/* Training steps in one call: what a caller does between two of them, without coming back.
 *
 * Each step draws the rows of a minibatch as np.random.randint would, and layers' keys as
 * next_uint64 does, then masks, all from one stream; takes their labels; and is the step that
 * train.c has.  The bits are those of as many calls of one step each.
 *
 * A step with news ends the call before it, so that its caller can take it by itself and say what
 * there is to say: a loss that is not finite, a variance beyond the dtype, a label that is none.
 * Then parameters, running averages and the generator's state are those that the step began with.
 * So they are where a signal ends the call before a step has begun to update.
 */
#ifndef FASTFC_NETWORK_STEPS_C
#define FASTFC_NETWORK_STEPS_C

#include "fastfc.h"
#include "network/train.c"
#include "ops/mt19937.c"
#include "ops/statistics.c"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

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

/* Draws a minibatch.  Returns whether all its labels are classes. */
static int draw_minibatch(const fc_steps *s, const fc_network *net) {
    const int64_t classes = (int64_t)net->layers[net->count - 1].M;
    mt19937_rows(s->index, s->state, s->examples, net->N);
    for (size_t i = 0; i + 1 < net->count && s->draws_keys; i++) {
        const uint64_t high = mt19937_word(s->state), low = mt19937_word(s->state);
        net->layers[i].key = high << 32 | low;
    }
    int valid = 1;
    for (size_t i = 0; i < net->N; i++) {
        s->y[i] = label_of(&s->labels, s->index[i]);
        valid &= s->y[i] >= 0 && s->y[i] < classes;
    }
    return valid;
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

static void set_rates(const fc_steps *s, const fc_network *net, double factor) {
    for (size_t i = 0; i < net->count; i++)
        for (size_t j = 0; j < 4; j++)
            net->layers[i].params[j].number[0] = s->base[4 * i + j] * factor;
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
static size_t network_steps(const fc_steps *s, const fc_network *net, const void *x) {
    const int64_t start = fc_nanoseconds();
    const int refuses = net->rule != FC_NO_UPDATE && !net->takes_nonfinite;
    size_t taken = 0;
    while (taken < s->most) {
        fc_mt19937 before;
        int valid = 1;
        if (taken > 0) advance(net);
        if (s->factor) set_rates(s, net, s->factor[taken]);
        if (s->examples) {
            before = *s->state;
            valid = draw_minibatch(s, net);
        }
        if (valid) s->loss[taken] = network_loss(net, x, s->y);
        if (!valid || (refuses && !isfinite(s->loss[taken])) ||
            (s->examples && any_variance_beyond(net)) ||
            (net->rule != FC_NO_UPDATE && !fc_finish())) {
            if (s->examples) *s->state = before;
            break;
        }
        network_update(net, x);
        const int64_t spent = fc_nanoseconds() - start;
        if (s->time) s->time[taken] = spent;
        taken++;
        if (spent >= s->nanoseconds) break;
    }
    return taken;
}

#endif
