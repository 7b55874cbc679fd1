/* What only the micro-kernel and packing need beside vec.h: halves and quarters of a vector,
 * transposing a block of vectors, and the numbers of bits. */
#ifndef FASTFC_SIMD_NARROW_H
#define FASTFC_SIMD_NARROW_H

#include "simd/vec.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The mask must be of at most half the lanes. */
ALWAYS_INLINE half_vec half_load_masked(const real *p, lanes_mask mask) {
#if VEC_BYTES == 64 && defined(__AVX512VL__) && FC_DOUBLE
    return (half_vec)_mm256_maskz_loadu_pd(mask, p);
#elif VEC_BYTES == 64 && defined(__AVX512VL__)
    return (half_vec)_mm256_maskz_loadu_ps((__mmask8)mask, p);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return (half_vec)_mm_maskload_pd(p, _mm256_castsi256_si128(mask));
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (half_vec)_mm_maskload_ps(p, _mm256_castsi256_si128(mask));
#else
    (void)mask; /* without masks b is packed or padded: all of the half can be read */
    return *(const half_unaligned *)p;
#endif
}

/* A vector whose lower lanes are the half's; its upper lanes are unspecified.  A copy by way of
 * memory would stall: a wide load after a narrow store defeats store-to-load forwarding. */
ALWAYS_INLINE vec vec_of_half(half_vec half) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return (vec)_mm512_castpd256_pd512((__m256d)half);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return (vec)_mm512_castps256_ps512((__m256)half);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return (vec)_mm256_castpd128_pd256((__m128d)half);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (vec)_mm256_castps128_ps256((__m128)half);
#else
    vec v = {0};
    memcpy(&v, &half, sizeof half);
    return v;
#endif
}

/* A quarter of a vector, where that is four elements, of which `lanes` exist.  Loads fill the
 * others with zero.  Other vectors have no quarters. */
#define QUARTERS (VEC_BYTES == 64 && !FC_DOUBLE)
#if QUARTERS
typedef real quarter_vec __attribute__((vector_size(VEC_BYTES / 4)));
typedef real quarter_unaligned
    __attribute__((vector_size(VEC_BYTES / 4), aligned(__alignof__(real)), may_alias));

ALWAYS_INLINE quarter_vec quarter_load(const real *p, size_t lanes) {
    if (lanes == LANES / 4) return *(const quarter_unaligned *)p;
#if defined(__AVX512VL__)
    return (quarter_vec)_mm_maskz_loadu_ps((__mmask8)vec_lanes_mask(lanes), p);
#else
    quarter_vec v = {0};
    for (size_t i = 0; i < lanes; i++) v[i] = p[i];
    return v;
#endif
}

ALWAYS_INLINE void quarter_store(real *p, quarter_vec v, size_t lanes) {
#if defined(__AVX512VL__)
    _mm_mask_storeu_ps(p, (__mmask8)vec_lanes_mask(lanes), (__m128)v);
#else
    for (size_t i = 0; i < lanes; i++) p[i] = v[i];
#endif
}

ALWAYS_INLINE quarter_vec quarter_of(vec v, int place) {
    quarter_vec quarters[4];
    memcpy(quarters, &v, sizeof v);
    return quarters[place];
}

/* By way of memory only where there is no other: GCC 12 and later do not see through it. */
ALWAYS_INLINE vec vec_of_quarters(quarter_vec a, quarter_vec b, quarter_vec c, quarter_vec d) {
#if VEC_ANY_SHUFFLE
    const half_vec low = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
    const half_vec high = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    const quarter_vec quarters[] = {a, b, c, d};
    vec v;
    memcpy(&v, quarters, sizeof v);
    return v;
#endif
}

/* Four elements of v, each repeated four times: element `place` of every quarter
 * (vec_repeat_of_quarters), or the four of quarter `place` (vec_repeat_quarter). */
#define FOUR_TIMES(a, b, c, d) a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d
#define OF_QUARTERS(i) VEC_SHUFFLE(ivec, v, v, FOUR_TIMES(i, i + 4, i + 8, i + 12))
#define OF_QUARTER(i) VEC_SHUFFLE(ivec, v, v, FOUR_TIMES(4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3))
ALWAYS_INLINE vec vec_repeat_of_quarters(vec v, int place) {
    const vec repeated[] = {OF_QUARTERS(0), OF_QUARTERS(1), OF_QUARTERS(2), OF_QUARTERS(3)};
    return repeated[place];
}

ALWAYS_INLINE vec vec_repeat_quarter(vec v, int place) {
    const vec repeated[] = {OF_QUARTER(0), OF_QUARTER(1), OF_QUARTER(2), OF_QUARTER(3)};
    return repeated[place];
}
#undef OF_QUARTER
#undef OF_QUARTERS
#undef FOUR_TIMES
#endif

/* Writes first + i for each bit i that is set of LANES bits, in order, and may write anything
 * behind them, LANES numbers in all.  Returns how many are set. */
ALWAYS_INLINE size_t numbers_of_bits(uint16_t *numbers, size_t first, unsigned bits) {
#if VEC_BYTES == 64 && defined(__AVX512F__)
    const __m512i counted = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i all = _mm512_add_epi32(counted, _mm512_set1_epi32((int)first));
    const __m256i set = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32((__mmask16)bits, all));
    memcpy(numbers, &set, LANES * sizeof *numbers);
    return (size_t)__builtin_popcount(bits);
#else
    size_t count = 0;
    for (size_t i = 0; i < LANES; i++) {
        numbers[count] = (uint16_t)(first + i);
        count += bits >> i & 1;
    }
    return count;
#endif
}

/* Transposes LANES rows of LANES elements in place, in log2(LANES) rounds.  Each round interleaves
 * row i with row i + LANES / 2, which halves the distance between neighbours of the same column;
 * after the last round they are adjacent. */
ALWAYS_INLINE void vec_transpose(vec *row) {
    vec zipped[LANES];
    UNROLL_ALL
    for (size_t step = 1; step < LANES; step *= 2) {
        UNROLL_ALL
        for (size_t i = 0; i < LANES / 2; i++) {
            zipped[2 * i] = vec_zip_low(row[i], row[i + LANES / 2]);
            zipped[2 * i + 1] = vec_zip_high(row[i], row[i + LANES / 2]);
        }
        UNROLL_ALL
        for (size_t i = 0; i < LANES; i++) row[i] = zipped[i];
    }
}

#endif
