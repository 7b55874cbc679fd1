/* The thread pool: it runs n independent tasks, nothing more.
 *
 * The caller of fc_run runs tasks itself, as every worker does, and at the end waits only for tasks
 * that a worker has begun: a worker that the kernel has not scheduled delays nobody.  Which thread
 * runs a task decides when it is done, never what it computes: workers compute in the caller's
 * floating-point mode.
 *
 * A job is published by one atomic word: the job's number in the upper half, the range of its
 * unclaimed tasks in the lower.  A thread first reads the job's fields (task, context, ...), then
 * claims a task by compare-and-swap on the word.  If the swap succeeds, the fields were this job's:
 * they are only rewritten when every task of the job has been claimed and is done, and then the
 * word has no task left to claim.
 *
 * The caller claims tasks from the front, workers from the back.  Successive jobs of a training
 * step are cut alike, so a thread tends to get the same part of the data again, which its core's
 * cache still holds.
 *
 * After a job workers spin for SPIN_NANOSECONDS, since the next job of a training step follows at
 * once, and that of the next epoch after some 50 us of Python; then they sleep.  If the pool is
 * busy with another caller's job, fc_run runs all its tasks on the calling thread.
 *
 * The caller looks up from a long operation between its tasks (fastfc.h); if that is to end, it
 * claims the tasks that are left and does not run them.
 *
 * A worker is not woken on the caller's core.  Linux tends to wake it there if it last ran there,
 * and takes 10 ms and more to notice that another core is idle.
 *
 * Measured and left out: with the barriers of an OpenMP runtime a step of 2 ms takes 10 to 40 ms as
 * soon as another process wants a core. */
#include "runtime/system.h" /* first: it says which functions of the C library are asked for */
#include "runtime/fp_mode.h"
#include "runtime/memory.h"
#include "fastfc.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { SPIN_NANOSECONDS = 100000 };

/* The most tasks that the word has room for: 16 bits. */
enum { MAX_TASKS = 0xffff };

static struct {
    /* the job: written by its caller while no task is left to claim */
    _Atomic(fc_task) task;
    _Atomic(void *) context;
    _Atomic(size_t) start;  /* index of its first task: a long fc_run is several jobs */
    _Atomic(int) threads;   /* how many may work on it, the caller included */
    _Atomic(uint64_t) mode; /* the caller's floating-point mode */

    _Atomic(uint64_t)
        word; /* number of the job << 32 | first unclaimed task << 16 | behind the last */
    _Atomic(size_t) done;  /* tasks finished */
    _Atomic(int) sleepers; /* workers that sleep or are about to */
    atomic_flag busy;      /* the caller's lock on the job's fields and on `workers` */
    monitor asleep;        /* where they sleep */
    int workers;           /* how many have been started */
    struct {
        _Atomic(int) id,
            core; /* its thread's id, 0 until it runs; the core that it last slept on */
    } worker[FC_MAX_THREADS];
} pool = {.busy = ATOMIC_FLAG_INIT, .asleep = MONITOR_INIT};

static _Atomic(int) thread_limit = 1;
static _Thread_local int own_limit; /* of this thread's calls; 0: as of all */

static void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Claims and runs tasks of the job in `word` until none is left. */
static void claim_tasks(uint64_t word, int thread, void *scratch) {
    for (;;) {
        const fc_task task = atomic_load_explicit(&pool.task, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool.context, memory_order_relaxed);
        const size_t start = atomic_load_explicit(&pool.start, memory_order_relaxed);
        const int threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
        const uint64_t mode = atomic_load_explicit(&pool.mode, memory_order_relaxed);
        const uint64_t now = atomic_load_explicit(&pool.word, memory_order_acquire);
        if (now >> 32 != word >> 32) return; /* another job: the fields may be its */
        const uint64_t first = now >> 16 & MAX_TASKS, last = now & MAX_TASKS;
        if (first == last || thread >= threads) return;
        word = now;
        if (!atomic_compare_exchange_strong_explicit(&pool.word, &word,
                                                     thread == 0 ? now + (1 << 16) : now - 1,
                                                     memory_order_acq_rel, memory_order_acquire))
            continue;
        fc_set_mode(mode);
        if (thread != 0)
            task(context, start + last - 1, scratch);
        else if (!fc_look()) /* else the rest is claimed and left */
            task(context, start + first, scratch);
        atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
    }
}

/* Binds the workers that went to sleep on the caller's core to the other cores that it may use. */
static void keep_workers_off_core(void) {
    const int core = current_core();
    for (int i = 0; i < pool.workers; i++) {
        const int id = atomic_load_explicit(&pool.worker[i].id, memory_order_relaxed);
        if (atomic_load_explicit(&pool.worker[i].core, memory_order_relaxed) == core && id != 0)
            keep_off_core(id, core);
    }
}

typedef struct {
    int thread; /* 1, 2, ...; 0 is the caller of a job */
    void *scratch;
} worker_arguments;

static THREAD_RESULT run_worker(void *argument) {
    const worker_arguments self = *(worker_arguments *)argument;
    uint64_t seen = 0;
    free(argument);
    atomic_store_explicit(&pool.worker[self.thread - 1].id, current_thread_id(),
                          memory_order_relaxed);
    for (;;) {
        const int64_t until = clock_nanoseconds() + SPIN_NANOSECONDS;
        uint64_t word;
        for (int i = 0;; i++) {
            word = atomic_load_explicit(&pool.word, memory_order_acquire);
            if (word >> 32 != seen >> 32) break;
            cpu_relax();
            if (i % 64 == 63 && clock_nanoseconds() > until) {
                atomic_store_explicit(&pool.worker[self.thread - 1].core, current_core(),
                                      memory_order_relaxed);
                monitor_enter(&pool.asleep);
                atomic_fetch_add(&pool.sleepers, 1);
                while ((word = atomic_load(&pool.word)) >> 32 == seen >> 32)
                    monitor_sleep(&pool.asleep);
                atomic_fetch_sub(&pool.sleepers, 1);
                monitor_leave(&pool.asleep);
                break;
            }
        }
        seen = word;
        claim_tasks(word, self.thread, self.scratch);
    }
    return 0;
}

/* In a forked child: fork copies no worker, and perhaps a lock that a worker held.  The child
 * starts with an empty pool. */
static void reset_after_fork(void) {
    for (int i = 0; i < pool.workers; i++) atomic_store(&pool.worker[i].id, 0);
    pool.workers = 0;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.word,
                 atomic_load(&pool.word) >> 32 << 32); /* the parent's tasks are its own */
    atomic_flag_clear(&pool.busy);
    monitor_reset(&pool.asleep);
}

/* Has every child that is forked from now on start anew.  Before the first job: fork calls in the
 * child what was registered when it began, and another thread may start workers meanwhile. */
static void prepare_for_fork(void) {
    static atomic_flag prepared = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&prepared) && after_fork(reset_after_fork) != 0)
        atomic_flag_clear(&prepared);
}

/* Starts workers until there are `wanted`, or as many as the system allows. */
static void start_workers(int wanted) {
    prepare_for_fork();
    while (pool.workers < wanted) {
        worker_arguments *start = malloc(sizeof *start);
        void *scratch = fc_allocate(FC_SCRATCH_BYTES);
        if (start) *start = (worker_arguments){pool.workers + 1, scratch};
        if (!start || !scratch || start_thread(run_worker, start) != 0) {
            fc_free(scratch);
            free(start);
            return;
        }
        pool.workers++;
    }
}

void fc_set_threads(int threads) {
    prepare_for_fork();
    atomic_store(&thread_limit, threads < 1                ? 1
                                : threads > FC_MAX_THREADS ? FC_MAX_THREADS
                                                           : threads);
}

int fc_get_threads(void) { return atomic_load(&thread_limit); }

int fc_set_own_threads(int threads) {
    const int before = own_limit;
    own_limit = threads < 0 ? 0 : threads > FC_MAX_THREADS ? FC_MAX_THREADS : threads;
    return before;
}

/* Runs tasks start to start + count - 1 as one job; the caller holds `busy`. */
static void run_job(fc_task task, void *context, size_t start, size_t count, int threads,
                    void *scratch) {
    atomic_store_explicit(&pool.task, task, memory_order_relaxed);
    atomic_store_explicit(&pool.context, context, memory_order_relaxed);
    atomic_store_explicit(&pool.start, start, memory_order_relaxed);
    atomic_store_explicit(&pool.threads, threads, memory_order_relaxed);
    atomic_store_explicit(&pool.mode, fc_mode(), memory_order_relaxed);
    atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
    const uint64_t word = ((atomic_load(&pool.word) >> 32) + 1) << 32 | count;
    atomic_store(&pool.word, word);
    if (atomic_load(&pool.sleepers) > 0) {
        keep_workers_off_core();
        monitor_enter(&pool.asleep);
        monitor_wake_all(&pool.asleep);
        monitor_leave(&pool.asleep);
    }
    claim_tasks(word, 0, scratch);
    for (int i = 1; atomic_load_explicit(&pool.done, memory_order_acquire) < count; i++) {
        cpu_relax();
        if (i % 256 == 0) {
            yield_core(); /* a worker may have lost its core in the middle of a task */
            fc_look();    /* or be at work on a long one */
        }
    }
}

void fc_run(fc_task task, void *context, size_t count, void *scratch) {
    const int threads =
        own_limit ? own_limit : atomic_load_explicit(&thread_limit, memory_order_relaxed);
    if (count < 2 || threads < 2 ||
        atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire)) {
        for (size_t i = 0; i < count && !fc_look(); i++) task(context, i, scratch);
        return;
    }
    if (pool.workers < threads - 1) start_workers(threads - 1);
    for (size_t start = 0; start < count && !fc_look(); start += MAX_TASKS) {
        const size_t left = count - start;
        run_job(task, context, start, left < MAX_TASKS ? left : MAX_TASKS, threads, scratch);
    }
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}
