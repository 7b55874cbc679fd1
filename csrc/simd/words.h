/* Vectors of integers for the random generators, whatever `real` is. */
#ifndef FASTFC_SIMD_WORDS_H
#define FASTFC_SIMD_WORDS_H

#include "simd/vec.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 32-bit words, WORD_LANES of them. */
#define WORD_LANES (VEC_BYTES / sizeof(uint32_t))
typedef uint32_t words __attribute__((vector_size(VEC_BYTES)));
typedef uint32_t words_unaligned
    __attribute__((vector_size(VEC_BYTES), aligned(__alignof__(uint32_t)), may_alias));

ALWAYS_INLINE words words_load(const uint32_t *p) { return *(const words_unaligned *)p; }

ALWAYS_INLINE void words_store(uint32_t *p, words v) { *(words_unaligned *)p = v; }

/* The words at even places of a, then those of b. */
#if VEC_BYTES == 64
#define EVEN_PLACES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#elif VEC_BYTES == 32
#define EVEN_PLACES 0, 2, 4, 6, 8, 10, 12, 14
#else
#define EVEN_PLACES 0, 2, 4, 6
#endif
ALWAYS_INLINE words words_even(words a, words b) { return VEC_SHUFFLE(words, a, b, EVEN_PLACES); }

/* Whether any bit of v is set. */
ALWAYS_INLINE int words_any(words v) {
    uint64_t halves[VEC_BYTES / 8], any = 0;
    memcpy(halves, &v, sizeof v);
    for (size_t i = 0; i < VEC_BYTES / 8; i++) any |= halves[i];
    return any != 0;
}

/* Vectors of 64-bit lanes, each a pair of 32-bit words. */
typedef uint64_t pairs __attribute__((vector_size(VEC_BYTES)));

ALWAYS_INLINE pairs pairs_set(uint64_t value) { return value - (pairs){0}; }

/* The lanes start, start + 1, ... */
ALWAYS_INLINE pairs pairs_count(uint64_t start) {
    pairs numbers = {0};
    for (size_t i = 0; i < VEC_BYTES / 8; i++) numbers[i] = i;
    return numbers + start;
}

/* The 64-bit product of the low words, in each lane. */
ALWAYS_INLINE pairs pairs_product(pairs a, pairs b) {
#if VEC_BYTES == 64 && defined(__AVX512F__)
    return (pairs)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (pairs)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif VEC_BYTES == 16 && defined(__SSE2__)
    return (pairs)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* Interleaves the lanes of a and b, of their first or of their second halves. */
#if VEC_BYTES == 64
#define LOW_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#elif VEC_BYTES == 32
#define LOW_PAIRS 0, 4, 1, 5
#define HIGH_PAIRS 2, 6, 3, 7
#else
#define LOW_PAIRS 0, 2
#define HIGH_PAIRS 1, 3
#endif
ALWAYS_INLINE pairs pairs_zip_low(pairs a, pairs b) { return VEC_SHUFFLE(pairs, a, b, LOW_PAIRS); }
ALWAYS_INLINE pairs pairs_zip_high(pairs a, pairs b) {
    return VEC_SHUFFLE(pairs, a, b, HIGH_PAIRS);
}

#endif
