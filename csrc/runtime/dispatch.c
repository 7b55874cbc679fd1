/* Run-time dispatch: which instruction sets were built, which of them this CPU has, and which pair
 * of kernel tables is in use. */
#include "fastfc.h"

#define DECLARE_TABLES(isa)                                                                        \
    extern const fc_kernels_f32 fc_kernels_##isa##_f32;                                            \
    extern const fc_kernels_f64 fc_kernels_##isa##_f64
#define ISA(isa, has_it) {#isa, &fc_kernels_##isa##_f32, &fc_kernels_##isa##_f64, has_it}

static int always_available(void) { return 1; }

#if defined(__x86_64__)
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
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
    ISA(baseline, always_available),
#ifdef FASTFC_WIDE
    ISA(wide, has_avx2), /* 64-byte vectors as two AVX2 halves: tests that logic without AVX-512 */
#endif
    ISA(avx2, has_avx2),
    ISA(avx512, has_avx512),
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
