/* Which instruction sets this machine has: csrc/runtime/dispatch.c answers as the compiler does. */
#include "test.h"

#if defined(__x86_64__)
static int compiler_says(const char *isa) {
    if (strcmp(isa, "baseline") == 0) return 1;
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(isa, "avx512") != 0) return avx2;
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
static int compiler_says(const char *isa) { return isa != NULL; }
#endif

int main(void) {
    (void)products;
    int knows = 1;
#if defined(__x86_64__)
    knows = __builtin_cpu_supports("sse2") != 0; /* every x86-64 has it, but under zig nothing is */
#endif
    for (int isa = 0; isa < fc_isa_count(); isa++) {
        if (knows)
            check(fc_isa_name(isa), 0, fc_isa_available(isa), compiler_says(fc_isa_name(isa)), 0);
        printf("%s: %s\n", fc_isa_name(isa), fc_isa_available(isa) ? "available" : "missing");
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed > 0;
}
