/* The pool where there are no threads, as in WebAssembly: the caller runs all tasks
 * (FASTFC_SERIAL). pool.c is the other one. */
#include "fastfc.h"

#include <stddef.h>

void fc_set_threads(int threads) { (void)threads; }

int fc_get_threads(void) { return 1; }

int fc_set_own_threads(int threads) {
    (void)threads;
    return 0;
}

void fc_run(fc_task task, void *context, size_t count, void *scratch) {
    for (size_t i = 0; i < count && !fc_look(); i++) task(context, i, scratch);
}
