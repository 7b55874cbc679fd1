/* Windows, for MinGW and clang-cl alike; system.h says what each function does.  There is neither
 * fork nor, for a thread, a signal. */
#ifndef FASTFC_RUNTIME_SYSTEM_WINDOWS_H
#define FASTFC_RUNTIME_SYSTEM_WINDOWS_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
/* behind windows.h */
#include <process.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    SRWLOCK lock;
    CONDITION_VARIABLE woken;
} monitor;

#define MONITOR_INIT {SRWLOCK_INIT, CONDITION_VARIABLE_INIT}

static inline void monitor_reset(monitor *m) {
    InitializeSRWLock(&m->lock);
    InitializeConditionVariable(&m->woken);
}
static inline void monitor_enter(monitor *m) { AcquireSRWLockExclusive(&m->lock); }
static inline void monitor_leave(monitor *m) { ReleaseSRWLockExclusive(&m->lock); }
static inline void monitor_sleep(monitor *m) {
    SleepConditionVariableSRW(&m->woken, &m->lock, INFINITE, 0);
}
static inline void monitor_wake_all(monitor *m) { WakeAllConditionVariable(&m->woken); }

#define THREAD_RESULT unsigned __stdcall

static inline int start_thread(unsigned(__stdcall *run)(void *), void *argument) {
    const uintptr_t thread = _beginthreadex(NULL, 0, run, argument, 0, NULL);
    if (thread == 0) return -1;
    CloseHandle((HANDLE)thread);
    return 0;
}

static inline int after_fork(void (*reset)(void)) {
    (void)reset;
    return 0;
}

static inline void yield_core(void) { SwitchToThread(); }

static inline int64_t clock_nanoseconds(void) {
    enum { SECOND = 1000000000 };
    LARGE_INTEGER now, a_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&a_second);
    const int64_t seconds = now.QuadPart / a_second.QuadPart;
    return seconds * SECOND + now.QuadPart % a_second.QuadPart * SECOND / a_second.QuadPart;
}

static inline int64_t coarse_nanoseconds(void) { return (int64_t)GetTickCount64() * 1000000; }

static inline int current_core(void) { return -1; }
static inline int current_thread_id(void) { return 0; }
static inline void keep_off_core(int id, int core) { (void)id, (void)core; }

#endif
