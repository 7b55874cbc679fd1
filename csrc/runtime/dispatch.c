/* Run-time dispatch: which instruction sets were built, which of them this CPU has, and which pair
 * of kernel tables is in use.  FC_WITHOUT_<isa>: that one was left out, to build faster. */
#include "fastfc.h"

#define DECLARE_TABLES(isa)                                                                        \
    extern const fc_kernels_f32 fc_kernels_##isa##_f32;                                            \
    extern const fc_kernels_f64 fc_kernels_##isa##_f64
#define ISA(isa, has_it) {#isa, &fc_kernels_##isa##_f32, &fc_kernels_##isa##_f64, has_it}

#ifndef FC_WITHOUT_baseline
static int always_available(void) { return 1; }
#endif

#if defined(__x86_64__)
#if !defined(FC_WITHOUT_avx2) || !defined(FC_WITHOUT_avx512)
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif
#ifndef FC_WITHOUT_avx512
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
DECLARE_TABLES(baseline);
DECLARE_TABLES(avx2);
DECLARE_TABLES(avx512);
#ifdef FASTFC_WIDE
DECLARE_TABLES(wide);
#endif
#elif defined(__aarch64__)
DECLARE_TABLES(neon);
#else
DECLARE_TABLES(baseline);
#endif

static const struct {
    const char *name;
    const fc_kernels_f32 *f32;
    const fc_kernels_f64 *f64;
    int (*available)(void);
} isas[] = {
#if defined(__x86_64__)
#ifndef FC_WITHOUT_baseline
    ISA(baseline, always_available),
#endif
#if defined(FASTFC_WIDE) && !defined(FC_WITHOUT_wide)
    ISA(wide, has_avx2), /* 64-byte vectors as two AVX2 halves: tests that logic without AVX-512 */
#endif
#ifndef FC_WITHOUT_avx2
    ISA(avx2, has_avx2),
#endif
#ifndef FC_WITHOUT_avx512
    ISA(avx512, has_avx512),
#endif
#elif defined(__aarch64__)
    ISA(neon, always_available),
#else
    ISA(baseline, always_available),
#endif
};

const fc_kernels_f32 *fc_f32;
const fc_kernels_f64 *fc_f64;

int fc_isa_count(void) { return (int)(sizeof isas / sizeof *isas); }

const char *fc_isa_name(int isa) { return isas[isa].name; }

int fc_isa_available(int isa) { return isas[isa].available(); }

int fc_isa_use(int isa) {
    if (isa < 0 || isa >= fc_isa_count() || !isas[isa].available()) return -1;
    fc_f32 = isas[isa].f32;
    fc_f64 = isas[isa].f64;
    return 0;
}
