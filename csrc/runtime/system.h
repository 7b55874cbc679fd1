/* What of the operating system the pool and the watch need: one header for each kind of system,
 * with the same functions in both.
 *
 *   monitor                      a lock, and threads that sleep until they are woken
 *   monitor_reset                in a forked child: as new
 *   start_thread(run, argument)  a thread that nobody waits for; 0, or -1 if it cannot be had
 *   THREAD_RESULT                what `run` returns: 0
 *   after_fork(reset)            `reset` runs in a forked child; 0, or -1 if that cannot be
 *   yield_core                   lets another thread have the core
 *   clock_nanoseconds            a clock that only goes forward
 *   coarse_nanoseconds           the same, perhaps 15 ms behind, in a few nanoseconds a reading
 *   current_core                 on which the thread runs; -1: not told
 *   current_thread_id            for keep_off_core
 *   keep_off_core(id, core)      binds a thread to the other cores that the caller may use */
#ifndef FASTFC_RUNTIME_SYSTEM_H
#define FASTFC_RUNTIME_SYSTEM_H

#if defined(_WIN32)
#include "runtime/system_windows.h"
#else
#include "runtime/system_posix.h"
#endif

#endif
