/* The SIMD vocabulary: one vector type of VEC_BYTES bytes, whatever the instruction set.
 *
 * Operations are written once over these few functions.  GCC's and clang's vector extensions give
 * arithmetic and comparison.  What they cannot express uses intrinsics, which appear in the files
 * of simd/ only: masked loads and stores, fused multiply-add, the square root, a few conversions.
 *
 * The last vector of an array may be partial: `lanes` says how many of its elements exist.  A load
 * fills the others with zero and a store leaves their memory alone; where `lanes` is the constant
 * LANES, both compile to one plain instruction.  The remainder of an array therefore goes through
 * the same arithmetic as the main loop: an element's bits do not depend on its place. */
#ifndef FASTFC_VEC_H
#define FASTFC_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if FC_DOUBLE
typedef double real;
typedef int64_t lane_int;
typedef uint64_t lane_uint;
#else
typedef float real;
typedef int32_t lane_int;
typedef uint32_t lane_uint;
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* One copy, however many callers there are: for the stack, or for the wheels' size. */
#define NEVER_INLINE static __attribute__((noinline))

/* Unrolls the whole loop that follows, of at most 16 rounds.  Of GCC's pragma clang 14 and 16 take
 * no notice before they place arrays, which then stay in memory; with its own, clang 14 places none
 * there, clang 16 those of one of the micro-kernel's two loops. */
#if defined(__clang__)
#define UNROLL_ALL _Pragma("clang loop unroll(full)")
#else
#define UNROLL_ALL _Pragma("GCC unroll 16")
#endif

typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef real vec_unaligned
    __attribute__((vector_size(VEC_BYTES), aligned(__alignof__(real)), may_alias));
typedef lane_int ivec __attribute__((vector_size(VEC_BYTES)));
typedef lane_uint uvec __attribute__((vector_size(VEC_BYTES)));

#define LANES (VEC_BYTES / sizeof(real))

ALWAYS_INLINE vec vec_set(real value) { return value - (vec){0}; }

ALWAYS_INLINE ivec vec_lane_numbers(void) {
    ivec numbers = {0};
    for (size_t i = 0; i < LANES; i++) numbers[i] = (lane_int)i;
    return numbers;
}

/* The lanes of a and b that the numbers name, those of b counted after those of a: as many as a
 * has. `places`, a vector of as many integers as wide as a's lanes, is for GCC 11, which lacks
 * clang's builtin; VEC_ANY_SHUFFLE: the others have it, which also makes wider vectors of narrow
 * ones. */
#if defined(__clang__) || __GNUC__ >= 12
#define VEC_ANY_SHUFFLE 1
#define VEC_SHUFFLE(places, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define VEC_ANY_SHUFFLE 0
#define VEC_SHUFFLE(places, a, b, ...) __builtin_shuffle(a, b, (places){__VA_ARGS__})
#endif

/* Lanes of a where mask is set (all ones), of b elsewhere. */
ALWAYS_INLINE vec vec_select(ivec mask, vec a, vec b) {
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* x < 0.  A comparison with zero and a selection are a maximum to clang 13 to 16 for aarch64, which
 * then makes +0 of -0: by integers but where SSE2 is, from whose comparison no compiler makes that.
 * One less than its bits, a negative number is below -inf, but for -0. */
ALWAYS_INLINE ivec vec_negative(vec x) {
#if defined(__SSE2__)
    return x < vec_set(0);
#else
    return (ivec)((uvec)x - 1) < (ivec)vec_set(-(real)__builtin_inf());
#endif
}

/* The first `lanes` lanes, in the form that masked loads and stores take.  VEC_MASKED: the
 * instruction set has these as single instructions. */
#if VEC_BYTES == 64 && defined(__AVX512F__)
#define VEC_MASKED 1
#if FC_DOUBLE
typedef __mmask8 lanes_mask;
#else
typedef __mmask16 lanes_mask;
#endif
ALWAYS_INLINE lanes_mask vec_lanes_mask(size_t lanes) { return (lanes_mask)((1u << lanes) - 1); }
#elif VEC_BYTES == 32 && defined(__AVX2__)
#define VEC_MASKED 1
typedef __m256i lanes_mask;
/* The mask is loaded from a row of ones followed by zeros, `lanes` places before the first zero. */
ALWAYS_INLINE lanes_mask vec_lanes_mask(size_t lanes) {
    static const lane_int window[2 * LANES] = {
        -1, -1, -1, -1,
#if !FC_DOUBLE
        -1, -1, -1, -1,
#endif
    };
    return _mm256_loadu_si256((const __m256i *)(window + LANES - lanes));
}
#else
#define VEC_MASKED 0
typedef size_t lanes_mask;
ALWAYS_INLINE lanes_mask vec_lanes_mask(size_t lanes) { return lanes; }
#endif

ALWAYS_INLINE vec vec_load_masked(const real *p, lanes_mask mask) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return (vec)_mm512_maskz_loadu_pd(mask, p);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps(mask, p);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return (vec)_mm256_maskload_pd(p, mask);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (vec)_mm256_maskload_ps(p, mask);
#else
    if (mask == LANES) return *(const vec_unaligned *)p;
    real elements[LANES] = {0};
    for (size_t i = 0; i < mask; i++) elements[i] = p[i];
    return *(const vec_unaligned *)elements;
#endif
}

ALWAYS_INLINE vec vec_load(const real *p, size_t lanes) {
    if (lanes == LANES) return *(const vec_unaligned *)p;
    return vec_load_masked(p, vec_lanes_mask(lanes));
}

ALWAYS_INLINE void vec_store_masked(real *p, vec v, lanes_mask mask) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    _mm512_mask_storeu_pd(p, mask, (__m512d)v);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, mask, (__m512)v);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    _mm256_maskstore_pd(p, mask, (__m256d)v);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    _mm256_maskstore_ps(p, mask, (__m256)v);
#else
    if (mask == LANES)
        *(vec_unaligned *)p = v;
    else
        for (size_t i = 0; i < mask; i++) p[i] = v[i];
#endif
}

ALWAYS_INLINE void vec_store(real *p, vec v, size_t lanes) {
    if (lanes == LANES)
        *(vec_unaligned *)p = v;
    else
        vec_store_masked(p, v, vec_lanes_mask(lanes));
}

/* One bit for each lane, lane 0 lowest, of a mask whose lanes are all ones or all zeros. */
ALWAYS_INLINE uint16_t vec_bits(ivec mask) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return _mm512_movepi64_mask((__m512i)mask);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return _mm512_movepi32_mask((__m512i)mask);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return (uint16_t)_mm256_movemask_pd((__m256d)mask);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (uint16_t)_mm256_movemask_ps((__m256)mask);
#elif VEC_BYTES == 16 && defined(__SSE2__) && FC_DOUBLE
    return (uint16_t)_mm_movemask_pd((__m128d)mask);
#elif VEC_BYTES == 16 && defined(__SSE2__)
    return (uint16_t)_mm_movemask_ps((__m128)mask);
#else
    unsigned bits = 0;
    for (size_t i = 0; i < LANES; i++) bits |= (mask[i] != 0) << i;
    return (uint16_t)bits;
#endif
}

/* One bit for each lane in which a and b have a bit in common. */
ALWAYS_INLINE uint16_t vec_common_bits(ivec a, ivec b) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return _mm512_test_epi64_mask((__m512i)a, (__m512i)b);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)a, (__m512i)b);
#else
    return vec_bits((a & b) != 0);
#endif
}

/* The inverse of vec_bits. */
ALWAYS_INLINE ivec vec_mask_of_bits(uint16_t bits) {
    ivec lane_bits = {0};
    for (size_t i = 0; i < LANES; i++) lane_bits[i] = (lane_int)1 << i;
    return (lane_bits & ((ivec){0} + (lane_int)bits)) != 0;
}

/* A mask of LANES bytes that are 0 or 1. */
ALWAYS_INLINE ivec vec_mask_of_bytes(const uint8_t *p) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return -(ivec)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)p));
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return -(ivec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return -(ivec)_mm256_cvtepu8_epi64(_mm_loadu_si32(p));
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return -(ivec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
    return -__builtin_convertvector(*(const bytes *)p, ivec);
#endif
}

/* Runs the statements for each vector of n elements: `i` is its first element, `lanes` counts its
 * elements.  First the whole vectors, then the partial one, if any. */
#define EACH_VECTOR(i, n, ...)                                                                     \
    do {                                                                                           \
        const size_t whole_ = (n) - (n) % LANES;                                                   \
        for (size_t i = 0; i < whole_; i += LANES) {                                               \
            const size_t lanes = LANES;                                                            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (whole_ < (n)) {                                                                        \
            const size_t i = whole_, lanes = (n) - whole_;                                         \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

/* v with `fill` in all lanes but the first `lanes`. */
ALWAYS_INLINE vec vec_fill_rest(vec v, size_t lanes, real fill) {
    if (lanes == LANES) return v;
    return vec_select(vec_lane_numbers() < (lane_int)lanes, v, vec_set(fill));
}

/* Half a vector; the rest of what it can do is in narrow.h. */
typedef real half_vec __attribute__((vector_size(VEC_BYTES / 2)));
typedef real half_unaligned
    __attribute__((vector_size(VEC_BYTES / 2), aligned(__alignof__(real)), may_alias));

ALWAYS_INLINE half_vec half_fma(half_vec a, half_vec b, half_vec c) {
#if VEC_BYTES == 64 && defined(__FMA__) && FC_DOUBLE
    return (half_vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif VEC_BYTES == 64 && defined(__FMA__)
    return (half_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VEC_BYTES == 32 && defined(__FMA__) && FC_DOUBLE
    return (half_vec)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#elif VEC_BYTES == 32 && defined(__FMA__)
    return (half_vec)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#else
    return a * b + c;
#endif
}

/* a * b + c, fused (rounded once) where the instruction set can.  The compiler must not fuse any
 * other product with a sum (-ffp-contract=off): whether it did would depend on the code around an
 * expression, and the bits of the result with it. */
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VEC_BYTES == 64 && defined(__FMA__)
    half_vec x[2], y[2], z[2];
    memcpy(x, &a, sizeof a), memcpy(y, &b, sizeof b), memcpy(z, &c, sizeof c);
    for (int i = 0; i < 2; i++) z[i] = half_fma(x[i], y[i], z[i]);
    memcpy(&c, z, sizeof c);
    return c;
#elif VEC_BYTES == 32 && defined(__FMA__) && FC_DOUBLE
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif VEC_BYTES == 32 && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif VEC_BYTES == 16 && defined(__aarch64__) && FC_DOUBLE
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif VEC_BYTES == 16 && defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* The greater of a and b in each lane; b's where either is NaN. */
ALWAYS_INLINE vec vec_max(vec a, vec b) { return vec_select(a > b, a, b); }

ALWAYS_INLINE vec vec_sqrt(vec v) {
#if VEC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    return (vec)_mm512_sqrt_pd((__m512d)v);
#elif VEC_BYTES == 64 && defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)v);
#elif VEC_BYTES == 32 && defined(__AVX2__) && FC_DOUBLE
    return (vec)_mm256_sqrt_pd((__m256d)v);
#elif VEC_BYTES == 32 && defined(__AVX2__)
    return (vec)_mm256_sqrt_ps((__m256)v);
#elif VEC_BYTES == 16 && defined(__SSE2__) && FC_DOUBLE
    return (vec)_mm_sqrt_pd((__m128d)v);
#elif VEC_BYTES == 16 && defined(__SSE2__)
    return (vec)_mm_sqrt_ps((__m128)v);
#elif VEC_BYTES == 16 && defined(__aarch64__) && FC_DOUBLE
    return (vec)vsqrtq_f64((float64x2_t)v);
#elif VEC_BYTES == 16 && defined(__aarch64__)
    return (vec)vsqrtq_f32((float32x4_t)v);
#else
    for (size_t i = 0; i < LANES; i++) v[i] = (real)__builtin_sqrt(v[i]);
    return v;
#endif
}

/* Interleaves a and b: a0 b0 a1 b1 ..., of their first halves (zip_low) or second (zip_high). */
#if VEC_BYTES == 64 && !FC_DOUBLE
#define LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VEC_BYTES == (FC_DOUBLE ? 64 : 32)
#define LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif VEC_BYTES == (FC_DOUBLE ? 32 : 16)
#define LOW_HALVES 0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#else
#define LOW_HALVES 0, 2
#define HIGH_HALVES 1, 3
#endif
ALWAYS_INLINE vec vec_zip_low(vec a, vec b) { return VEC_SHUFFLE(ivec, a, b, LOW_HALVES); }
ALWAYS_INLINE vec vec_zip_high(vec a, vec b) { return VEC_SHUFFLE(ivec, a, b, HIGH_HALVES); }

/* The mask of a vec from LANES 32-bit words, each all ones or all zeros; double widens them. */
ALWAYS_INLINE ivec vec_mask_load(const uint32_t *p) {
    typedef int32_t narrow
        __attribute__((vector_size(4 * LANES), aligned(__alignof__(uint32_t)), may_alias));
    return __builtin_convertvector(*(const narrow *)p, ivec);
}

/* The sum over the lanes: the upper half is added to the lower half, and so on, an order that LANES
 * alone decides.  Zipping v with itself puts each pair of lanes that are half a vector apart into
 * the same lane of the two results; every sum then stands in two lanes. */
ALWAYS_INLINE real vec_reduce_add(vec v) {
    UNROLL_ALL
    for (size_t step = 1; step < LANES; step *= 2) v = vec_zip_low(v, v) + vec_zip_high(v, v);
    return v[0];
}

/* The greatest lane; unspecified if one is NaN. */
ALWAYS_INLINE real vec_reduce_max(vec v) {
    UNROLL_ALL
    for (size_t step = 1; step < LANES; step *= 2)
        v = vec_max(vec_zip_low(v, v), vec_zip_high(v, v));
    return v[0];
}

#endif
