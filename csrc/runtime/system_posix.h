/* Linux, macOS and other POSIX systems; system.h says what each function does.  It is a unit's
 * first include, so that _GNU_SOURCE counts: for sched_getcpu and affinity masks. */
#ifndef FASTFC_RUNTIME_SYSTEM_POSIX_H
#define FASTFC_RUNTIME_SYSTEM_POSIX_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
} monitor;

#define MONITOR_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER}

static inline void monitor_reset(monitor *m) {
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->woken, NULL);
}
static inline void monitor_enter(monitor *m) { pthread_mutex_lock(&m->mutex); }
static inline void monitor_leave(monitor *m) { pthread_mutex_unlock(&m->mutex); }
static inline void monitor_sleep(monitor *m) { pthread_cond_wait(&m->woken, &m->mutex); }
static inline void monitor_wake_all(monitor *m) { pthread_cond_broadcast(&m->woken); }

#define THREAD_RESULT void *

/* It blocks all signals but those of its own faults, so that a signal reaches the program's own
 * threads, which may be waiting for it or have blocked it. */
static inline int start_thread(THREAD_RESULT (*run)(void *), void *argument) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t blocked, before;
    if (pthread_attr_init(&attributes) != 0) return -1;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int error = pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0 ? 0 : -1;
}

static inline int after_fork(void (*reset)(void)) {
    return pthread_atfork(NULL, NULL, reset) == 0 ? 0 : -1;
}

static inline void yield_core(void) { sched_yield(); }

static inline int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t clock_nanoseconds(void) { return read_clock(CLOCK_MONOTONIC); }

static inline int64_t coarse_nanoseconds(void) {
#if defined(CLOCK_MONOTONIC_COARSE)
    return read_clock(CLOCK_MONOTONIC_COARSE);
#else
    return read_clock(CLOCK_MONOTONIC);
#endif
}

#if defined(__linux__)
static inline int current_core(void) { return sched_getcpu(); }

static inline int current_thread_id(void) { return (int)syscall(SYS_gettid); }

static inline void keep_off_core(int id, int core) {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) return;
    if (core < CPU_SETSIZE) CPU_CLR((size_t)core, &cores);
    if (CPU_COUNT(&cores) > 0) sched_setaffinity(id, sizeof cores, &cores);
}
#else
static inline int current_core(void) { return -1; }
static inline int current_thread_id(void) { return 0; }
static inline void keep_off_core(int id, int core) { (void)id, (void)core; }
#endif

#endif
