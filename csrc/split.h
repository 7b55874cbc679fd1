/* How work is cut into tasks: by shape alone, never by the number of threads, so that the order of
 * every sum, and with it every bit, is the same for any number of threads. */
#ifndef FASTFC_SPLIT_H
#define FASTFC_SPLIT_H

#include <stddef.h>

static inline size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* count / most, rounded up: how many groups of at most `most` things `count` of them make. */
static inline size_t ceil_div(size_t count, size_t most) { return (count + most - 1) / most; }

/* Where a share begins, when `count` things are divided into `shares` shares whose sizes differ by
 * at most one; for share == shares, where the last one ends. */
static inline size_t share_start(size_t count, size_t shares, size_t share) {
    return count / shares * share + min_size(share, count % shares);
}

#endif
