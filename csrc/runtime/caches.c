/* The sizes of a core's data caches: what the processor says of them, and what is in use.
 *
 * Intel's processors list them in leaf 4 of cpuid, AMD's in leaf 0x8000001D, in one format. */
#include "fastfc.h"

#include <stdatomic.h>
#include <stddef.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* As long as nobody sets it, that of the smallest cores in use. */
static _Atomic(size_t) l2_bytes = (size_t)256 << 10;

void fc_set_l2_bytes(size_t bytes) { atomic_store(&l2_bytes, bytes); }

size_t fc_get_l2_bytes(void) { return atomic_load_explicit(&l2_bytes, memory_order_relaxed); }

void fc_detect_caches(size_t bytes[FC_CACHE_LEVELS]) {
    for (int level = 0; level < FC_CACHE_LEVELS; level++) bytes[level] = 0;
#if defined(__x86_64__)
    static const unsigned leaves[] = {4, 0x8000001D};
    enum { MOST_CACHES = 16, INSTRUCTIONS = 2 };
    for (int leaf = 0; leaf < 2; leaf++)
        for (unsigned cache = 0; cache < MOST_CACHES; cache++) {
            unsigned a = 0, b = 0, c = 0, d = 0;
            if (!__get_cpuid_count(leaves[leaf], cache, &a, &b, &c, &d)) break;
            const unsigned type = a & 31, level = a >> 5 & 7;
            if (type == 0) break; /* no more */
            if (type == INSTRUCTIONS || level < 1 || level > FC_CACHE_LEVELS) continue;
            const size_t line = (b & 0xfff) + 1, partitions = (b >> 12 & 0x3ff) + 1;
            const size_t ways = (b >> 22) + 1, sets = (size_t)c + 1;
            bytes[level - 1] = ways * partitions * line * sets;
        }
#endif
}
