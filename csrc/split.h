/* How work is cut: by shape alone, never by the number of threads, so that every sum has one order.
 */
#ifndef FASTFC_SPLIT_H
#define FASTFC_SPLIT_H

#include <stddef.h>

static inline size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* How many shares of at most `most` things `count` of them make. */
static inline size_t ceil_div(size_t count, size_t most) { return (count + most - 1) / most; }

/* Where one of `shares` shares of `count` things begins, for share == shares where the last one
 * ends; their sizes differ by one at most. */
static inline size_t share_start(size_t count, size_t shares, size_t share) {
    return count / shares * share + min_size(share, count % shares);
}

#endif
