/* The floating-point mode of a thread: how it rounds, and what it does with denormals, the numbers
 * below the smallest normal one.  Most processors take ten to a hundred times as long for them, and
 * can be told to take them for zero (flush to zero, denormals are zero).
 *
 * The mode is part of the thread's floating-point control word, the only state beside its arguments
 * that decides an operation's bits.  The bindings set the flush bits around a call (FC_FLUSHED),
 * and fc_run gives the caller's mode to its workers, so that a task computes the same on every
 * thread. */
#ifndef FASTFC_RUNTIME_FP_MODE_H
#define FASTFC_RUNTIME_FP_MODE_H

#include <stdint.h>

#if defined(__x86_64__)
#define FC_FLUSH_BITS ((uint64_t)0x8040)      /* MXCSR: flush to zero, denormals are zero */
#define FC_MODE_BITS (FC_FLUSH_BITS | 0x6000) /* and rounding */
static inline uint64_t fc_control(void) { return __builtin_ia32_stmxcsr(); }
static inline void fc_set_control(uint64_t word) { __builtin_ia32_ldmxcsr((uint32_t)word); }
#elif defined(__aarch64__)
#define FC_FLUSH_BITS ((uint64_t)1 << 24) /* FPCR: flush to zero */
#define FC_MODE_BITS ((uint64_t)15 << 22) /* and rounding, default NaN */
static inline uint64_t fc_control(void) {
    uint64_t word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
}
static inline void fc_set_control(uint64_t word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
#else
#define FC_FLUSH_BITS ((uint64_t)0)
#define FC_MODE_BITS ((uint64_t)0)
static inline uint64_t fc_control(void) { return 0; }
static inline void fc_set_control(uint64_t word) { (void)word; }
#endif

static inline uint64_t fc_mode(void) { return fc_control() & FC_MODE_BITS; }

static inline void fc_set_mode(uint64_t mode) {
    if (fc_mode() != mode) fc_set_control((fc_control() & ~FC_MODE_BITS) | mode);
}

/* Runs the statement, with denormals taken for zero if `flush`, and leaves the mode as it was. */
#define FC_FLUSHED(flush, ...)                                                                     \
    do {                                                                                           \
        const int flush_ = (flush);                                                                \
        const uint64_t control_ = flush_ ? fc_control() : 0;                                       \
        if (flush_) fc_set_control(control_ | FC_FLUSH_BITS);                                      \
        __VA_ARGS__;                                                                               \
        if (flush_) fc_set_control(control_);                                                      \
    } while (0)

#endif
