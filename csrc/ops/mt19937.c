/* NumPy's own uniform stream: MT19937 (Matsumoto & Nishimura 1998) over the state that NumPy holds.
 *
 * rand makes a double of two 32-bit outputs u, v: (a 2^26 + b) / 2^53 with a = u >> 5, b = v >> 6.
 * So `rand() < p` is the integer test  a 2^26 + b < ceil(p 2^53),  and no double is made.
 * Comparing a with the upper 27 bits of the threshold decides it, unless the two are equal, which
 * happens once in 2^27 draws.  So vectors of u are tempered and compared, and v is ignored; a
 * stretch of draws in which the two are equal somewhere is done again, draw by draw, with v. */
#ifndef FASTFC_OPS_MT19937_C
#define FASTFC_OPS_MT19937_C

#include "fastfc.h"
#include "simd/vec.h"
#include "simd/words.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MT19937_WORDS = 624,
    MT19937_SHIFT = 397,
    MT19937_BLOCK = MT19937_WORDS / 2, /* draws that one twist of the state gives */
};

/* ceil(p 2^53) for p in [0, 1]; the product is exact, a power of two changes the exponent only. */
static uint64_t mt19937_threshold(double p) { return (uint64_t)ceil(p * 9007199254740992.0); }

#define MT19937_MIX(word, next, shifted)                                                           \
    ((shifted) ^ (((word) & 0x80000000u) | ((next) & 0x7fffffffu)) >> 1 ^                          \
     (-((next) & 1u) & 0x9908b0dfu))

/* Twists words `from` to `to` - 1 of the state in place.  Each is mixed with the word `offset`
 * away, which is at least a vector's length.  The last vector overlaps the one before it, so its
 * inputs are loaded first, before that one overwrites them. */
ALWAYS_INLINE void mt19937_stretch(uint32_t *key, size_t from, size_t to, ptrdiff_t offset) {
    uint32_t *last = key + to - WORD_LANES;
    const words word = words_load(last), next = words_load(last + 1);
    for (uint32_t *at = key + from; at <= last; at += WORD_LANES)
        words_store(at, MT19937_MIX(words_load(at), words_load(at + 1), words_load(at + offset)));
    words_store(last, MT19937_MIX(word, next, words_load(last + offset)));
}

/* Replaces the state's 624 words by the next ones. */
static void mt19937_twist(uint32_t *key) {
    const size_t rest = MT19937_WORDS - MT19937_SHIFT, end = MT19937_WORDS - 1;
    mt19937_stretch(key, 0, rest, MT19937_SHIFT);
    mt19937_stretch(key, rest, end, -(ptrdiff_t)rest);
    key[end] = MT19937_MIX(key[end], key[0], key[end - rest]);
}

#define MT19937_TEMPER(y)                                                                          \
    do {                                                                                           \
        (y) ^= (y) >> 11;                                                                          \
        (y) ^= ((y) << 7) & 0x9d2c5680u;                                                           \
        (y) ^= ((y) << 15) & 0xefc60000u;                                                          \
        (y) ^= (y) >> 18;                                                                          \
    } while (0)

static uint32_t mt19937_word(fc_mt19937 *state) {
    if (state->pos == MT19937_WORDS) {
        mt19937_twist(state->key);
        state->pos = 0;
    }
    uint32_t y = state->key[state->pos++];
    MT19937_TEMPER(y);
    return y;
}

/* Leaves the state as n draws would, of two words each, none of which is tempered. */
static void mt19937_skip(fc_mt19937 *state, uint64_t n) {
    uint64_t pos = (uint64_t)state->pos + 2 * n;
    for (; pos > MT19937_WORDS; pos -= MT19937_WORDS) mt19937_twist(state->key);
    state->pos = (int)pos;
}

/* index (n,) = np.random.randint(count, size=n), whose stream is frozen (NEP 19): of a word the
 * lowest bits that can hold count - 1 are kept, until they are less than count.  For one row
 * nothing is drawn.  count is at least 1. */
static void mt19937_rows(int64_t *index, fc_mt19937 *state, uint32_t count, size_t n) {
    const uint32_t greatest = count - 1;
    uint32_t mask = greatest;
    for (int i = 1; i < 32; i *= 2) mask |= mask >> i;
    for (size_t i = 0; i < n; i++) {
        uint32_t word = 0;
        if (greatest > 0) do
                word = mt19937_word(state) & mask;
            while (word > greatest);
        index[i] = word;
    }
}

/* below (n,) = all ones where a < upper, 0 elsewhere, for the n draws that begin at key; n is at
 * least WORD_LANES; the last vector may overlap the one before it.  Loads include the last draw's
 * v, which is ignored; if u is key[623], that load reads state->pos.  Returns whether any a ==
 * upper. */
static int mt19937_compare(uint32_t *below, const uint32_t *key, uint32_t upper, size_t n) {
    words equal = {0};
    for (size_t i = 0; i < n; i += WORD_LANES) {
        const size_t at = i + WORD_LANES <= n ? i : n - WORD_LANES;
        words y = words_even(words_load(key + 2 * at), words_load(key + 2 * at + WORD_LANES));
        MT19937_TEMPER(y);
        /* a has 27 bits and upper 28: they compare alike as signed, for which SSE2 has instructions
         */
        typedef int32_t signed_words __attribute__((vector_size(VEC_BYTES)));
        const signed_words a = (signed_words)(y >> 5);
        equal |= (words)(a == (int32_t)upper);
        words_store(below + at, (words)(a < (int32_t)upper));
    }
    return words_any(equal);
}

/* below (n,) = all ones where rand() < p, 0 elsewhere, for the next n draws. */
static void mt19937_below(uint32_t *below, fc_mt19937 *state, double p, size_t n) {
    const uint64_t threshold = mt19937_threshold(p);
    for (size_t done = 0; done < n;) {
        if (state->pos == MT19937_WORDS) {
            mt19937_twist(state->key);
            state->pos = 0;
        }
        /* the draws whose first word is in this state */
        const size_t pos = (size_t)state->pos, left = (MT19937_WORDS + 1 - pos) / 2;
        const size_t count = left < n - done ? left : n - done;
        if (count < WORD_LANES ||
            mt19937_compare(below + done, state->key + pos, (uint32_t)(threshold >> 26), count)) {
            for (size_t i = 0; i < count; i++) {
                const uint64_t a = mt19937_word(state) >> 5, b = mt19937_word(state) >> 6;
                below[done + i] = -(uint32_t)((a << 26 | b) < threshold);
            }
        } else {
            state->pos += (int)(2 * count);
            if (state->pos > MT19937_WORDS) { /* the last draw's second word is in the next state */
                mt19937_twist(state->key);
                state->pos -= MT19937_WORDS;
            }
        }
        done += count;
    }
}

/* keep (n,) = 1 where rand() < p, or, with drop, where rand() >= p, 0 elsewhere, for the next n
 * draws; p in [0, 1], drop 0 or 1. */
static void mt19937_keep(uint8_t *keep, fc_mt19937 *state, double p, int drop, size_t n) {
    enum { MOST = 4 * MT19937_BLOCK };
    uint32_t below[MOST];
    for (size_t i = 0; i < n && !fc_look(); i += MOST) {
        const size_t count = n - i < MOST ? n - i : MOST;
        mt19937_below(below, state, p, count);
        for (size_t j = 0; j < count; j++) keep[i + j] = (below[j] ^ (uint32_t)drop) & 1;
    }
}

#endif
