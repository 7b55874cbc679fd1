/* Run-time dispatch: which instruction sets were built, which of them this CPU has, and which pair
 * of kernel tables is in use.  FC_WITHOUT_<isa>: that one was left out, to build faster. */
#include "fastfc.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define DECLARE_TABLES(isa)                                                                        \
    extern const fc_kernels_f32 fc_kernels_##isa##_f32;                                            \
    extern const fc_kernels_f64 fc_kernels_##isa##_f64
#define ISA(isa, has_it) {#isa, &fc_kernels_##isa##_f32, &fc_kernels_##isa##_f64, has_it}

#ifndef FC_WITHOUT_baseline
static int always_available(void) { return 1; }
#endif

#if defined(__x86_64__)
#if !defined(FC_WITHOUT_avx2) || !defined(FC_WITHOUT_avx512)
/* Which registers the operating system saves, as bits of XCR0. */
enum { XMM_YMM = 0x6, XMM_YMM_ZMM = 0xe6 };

/* Whether the processor has FMA and all of `features`, bits of CPUID's leaf 7, and the operating
 * system saves `registers`.  Asked here, since __builtin_cpu_supports is no to all under zig. */
static int has(unsigned features, unsigned registers) {
    const unsigned basic = bit_FMA | bit_AVX | bit_OSXSAVE;
    unsigned eax, ebx, ecx, edx, saved;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & basic) != basic) return 0;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(edx) : "c"(0));
    if ((saved & registers) != registers) return 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & features) == features;
}
#endif
#ifndef FC_WITHOUT_avx2
static int has_avx2(void) { return has(bit_AVX2, XMM_YMM); }
#endif
#ifndef FC_WITHOUT_avx512
static int has_avx512(void) {
    return has(bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL, XMM_YMM_ZMM);
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
