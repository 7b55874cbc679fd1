/* How a long operation looks up from its work: fastfc.h says what for.
 *
 * What the calling thread watches is its own; workers watch nothing.  The clock is the coarse one,
 * a few nanoseconds a reading where there is one. */
#include "runtime/system.h" /* first: it says which functions of the C library are asked for */
#include "fastfc.h"
#include "runtime/fp_mode.h"

#include <stddef.h>
#include <stdint.h>

int64_t fc_look_nanoseconds = 100000000;

static _Thread_local fc_watch *watching;

int64_t fc_nanoseconds(void) { return clock_nanoseconds(); }

void fc_begin_watch(fc_watch *watch, int (*look)(fc_watch *watch)) {
    watch->look = look;
    watch->due = coarse_nanoseconds() + fc_look_nanoseconds;
    watch->asked = watch->finishing = 0;
    watch->outer = watching;
    watching = watch;
}

void fc_end_watch(fc_watch *watch) { watching = watch->outer; }

/* Looks, in the floating-point mode that other code expects; meanwhile this thread may begin
 * operations of its own. */
static void look(fc_watch *watch) {
    const uint64_t control = fc_control();
    watching = NULL;
    fc_set_control(control & ~FC_FLUSH_BITS);
    watch->asked = watch->look(watch);
    fc_set_control(control);
    watching = watch;
    watch->due = coarse_nanoseconds() + fc_look_nanoseconds;
}

int fc_look(void) {
    fc_watch *watch = watching;
    if (watch == NULL) return 0;
    if (!watch->asked && coarse_nanoseconds() >= watch->due) look(watch);
    return watch->asked && !watch->finishing;
}

int fc_finish(void) {
    if (fc_look()) return 0;
    if (watching) watching->finishing = 1;
    return 1;
}
