/* Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * a block of four 32-bit words is a function of its 128-bit counter and a 64-bit key, so that any
 * part of the stream can be computed without the rest, by any thread.  A round, of ten, is
 *
 *   (c0, c1, c2, c3) = (high(B c2) ^ c1 ^ k0, low(B c2), high(A c0) ^ c3 ^ k1, low(A c0))
 *   (k0, k1)         = (k0 + W0, k1 + W1)
 *
 * The stream of a key is the blocks of the counters 0, 1, 2, ...  A unit is kept when its word is
 * below ceil(p 2^32); with drop, when it is not. */
#ifndef FASTFC_OPS_PHILOX_C
#define FASTFC_OPS_PHILOX_C

#include "simd/words.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PHILOX_ROUNDS = 10,
    PHILOX_STEP =
        VEC_BYTES / 2,   /* words that a vector of counters gives, a counter a 64-bit lane */
    PHILOX_BLOCK = 1024, /* words at a time, a multiple of PHILOX_STEP for any vectors */
};

/* words (n,) = the blocks of counter, counter + 1, ... , counting in the low 64 bits, which wrap
 * around; n is a multiple of PHILOX_STEP.  Words are kept in 64-bit lanes, whose products then need
 * no widening; pairs_product ignores their upper halves. */
static void philox_words(uint32_t *out, const uint32_t *counter, const uint32_t *key, size_t n) {
    uint64_t low = (uint64_t)counter[1] << 32 | counter[0];
    for (size_t i = 0; i < n; i += PHILOX_STEP, low += PHILOX_STEP / 4) {
        const pairs c = pairs_count(low);
        pairs c0 = c, c1 = c >> 32, c2 = pairs_set(counter[2]), c3 = pairs_set(counter[3]);
        uint32_t k0 = key[0], k1 = key[1];
        for (int round = 0; round < PHILOX_ROUNDS; round++) {
            const pairs a = pairs_product(c0, pairs_set(0xD2511F53u));
            const pairs b = pairs_product(c2, pairs_set(0xCD9E8D57u));
            c0 = b >> 32 ^ c1 ^ pairs_set(k0);
            c1 = b & 0xffffffffu;
            c2 = a >> 32 ^ c3 ^ pairs_set(k1);
            c3 = a & 0xffffffffu;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        const pairs first = c0 | c1 << 32, second = c2 | c3 << 32;
        words_store(out + i, (words)pairs_zip_low(first, second));
        words_store(out + i + WORD_LANES, (words)pairs_zip_high(first, second));
    }
}

/* below (n, rounded up to whole steps) = all ones where word `first` + i of the key's stream is
 * below ceil(p 2^32), 0 elsewhere.  first is a multiple of 4, p in [0, 1]. */
static void philox_below(uint32_t *below, uint64_t key, uint64_t first, double p, size_t n) {
    const uint32_t counter[4] = {(uint32_t)(first / 4), (uint32_t)(first / 4 >> 32), 0, 0};
    const uint32_t halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    const uint64_t threshold = (uint64_t)ceil(p * 4294967296.0);
    const uint32_t greatest = (uint32_t)(threshold - 1);
    const uint32_t any = threshold > 0 ? ~0u : 0;
    philox_words(below, counter, halves, (n + PHILOX_STEP - 1) / PHILOX_STEP * PHILOX_STEP);
    for (size_t i = 0; i < n; i += WORD_LANES)
        words_store(below + i, (words)(words_load(below + i) <= greatest) & any);
}

/* keep (n,) = 1 where word first + i of the key's stream is below ceil(p 2^32), or, with drop,
 * where it is not, 0 elsewhere; p in [0, 1], drop 0 or 1. */
static void philox_keep(uint8_t *keep, uint64_t key, uint64_t first, double p, int drop, size_t n) {
    uint32_t below[PHILOX_BLOCK];
    size_t before = first % 4, count; /* words of the first block that are not wanted */
    for (size_t i = 0; i < n; i += count, before = 0) {
        count = n - i < PHILOX_BLOCK - before ? n - i : PHILOX_BLOCK - before;
        philox_below(below, key, first + i - before, p, before + count);
        for (size_t j = 0; j < count; j++) keep[i + j] = (below[before + j] ^ (uint32_t)drop) & 1;
    }
}

#endif
