/* NumPy's own uniform stream: MT19937 (Matsumoto & Nishimura 1998) over the state that NumPy holds.
 *
 * rand makes a double of two 32-bit outputs u, v: (a 2^26 + b) / 2^53 with a = u >> 5, b = v >> 6.
 * So `rand() < p` is the integer test  a 2^26 + b < ceil(p 2^53),  and no double is made. */

enum {
    MT19937_WORDS = 624,
    MT19937_SHIFT = 397,
    MT19937_BLOCK = MT19937_WORDS / 2, /* draws of one twist */
};

/* p in (0, 1]; p 2^53 is exact. */
static uint64_t mt19937_threshold(double p) { return (uint64_t)ceil(p * 9007199254740992.0); }

ALWAYS_INLINE uint32_t mt19937_mix(uint32_t word, uint32_t next, uint32_t shifted) {
    const uint32_t y = (word & 0x80000000u) | (next & 0x7fffffffu);
    return shifted ^ (y >> 1) ^ (-(y & 1u) & 0x9908b0dfu);
}

/* The next 624 words of state, in place. */
static void mt19937_twist(uint32_t *key) {
    size_t i = 0;
    for (; i < MT19937_WORDS - MT19937_SHIFT; i++)
        key[i] = mt19937_mix(key[i], key[i + 1], key[i + MT19937_SHIFT]);
    for (; i < MT19937_WORDS - 1; i++)
        key[i] = mt19937_mix(key[i], key[i + 1], key[i - (MT19937_WORDS - MT19937_SHIFT)]);
    key[i] = mt19937_mix(key[i], key[0], key[i - (MT19937_WORDS - MT19937_SHIFT)]);
}

ALWAYS_INLINE uint32_t mt19937_temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* draws (n,): the next n values of a 2^26 + b.  n <= MT19937_BLOCK. */
static void mt19937_draw(uint64_t *draws, fc_mt19937 *state, size_t n) {
    uint32_t words[2 * MT19937_BLOCK];
    size_t done = 0, pos = (size_t)state->pos;
    while (done < 2 * n) {
        if (pos == MT19937_WORDS) {
            mt19937_twist(state->key);
            pos = 0;
        }
        const size_t left = MT19937_WORDS - pos, wanted = 2 * n - done;
        const size_t count = left < wanted ? left : wanted;
        for (size_t i = 0; i < count; i++) words[done + i] = mt19937_temper(state->key[pos + i]);
        done += count;
        pos += count;
    }
    state->pos = (int)pos;
    for (size_t i = 0; i < n; i++)
        draws[i] = (uint64_t)(words[2 * i] >> 5) << 26 | words[2 * i + 1] >> 6;
}

/* keep (n,) = 1 where a draw is below p, else 0. */
static void mt19937_keep(uint8_t *keep, fc_mt19937 *state, double p, size_t n) {
    const uint64_t threshold = mt19937_threshold(p);
    uint64_t draws[MT19937_BLOCK];
    for (size_t i = 0; i < n; i += MT19937_BLOCK) {
        const size_t count = n - i < MT19937_BLOCK ? n - i : MT19937_BLOCK;
        mt19937_draw(draws, state, count);
        for (size_t j = 0; j < count; j++) keep[i + j] = draws[j] < threshold;
    }
}
