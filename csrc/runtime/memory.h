/* Memory aligned to 64 bytes, a cache line and the widest vector.  Windows has a function of its
 * own to free it, so that what comes from fc_allocate goes back by fc_free alone. */
#ifndef FASTFC_RUNTIME_MEMORY_H
#define FASTFC_RUNTIME_MEMORY_H

#include <stddef.h>
#include <stdlib.h>
#if defined(_WIN32)
#include <malloc.h>
#endif

/* `bytes` is a multiple of 64.  NULL: there is no such room. */
static inline void *fc_allocate(size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, 64);
#else
    return aligned_alloc(64, bytes);
#endif
}

static inline void fc_free(void *memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}

#endif
