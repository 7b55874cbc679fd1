# NumPy's global generator, drawn from at C speed.
#
# np.random's draws come from a bit generator, MT19937 unless the user set another one.  Its state
# is reached through its capsule, under its own lock.  That the memory there is laid out as
# fc_mt19937 is checked once against what `.state` reports; if it is not, or the generator is
# another one, doubles are drawn one by one through the generator's own next_double.
#
# The position in that state comes from anywhere (np.random.set_state takes any number), and says
# where the next draw is read.  So it is checked at every use, and the kernel works on a copy of the
# state, which goes back when the kernel has ended.
#
# A signal's handler may draw as well.  So none is run under the generator's lock: what is long
# draws so many numbers under it, some 20 ms, lets Python look for signals, and goes on.

cdef object np_random = None  # imported at the first draw: NumPy itself imports it lazily
# Locks in C: to release one runs nothing of Python.
cdef tuple LOCKS = (type(threading.Lock()), type(threading.RLock()))
cdef object mt19937_type = None  # np.random.MT19937 once its layout is known, else None


cdef size_t most_draws = 1 << 23


cdef bitgen_t *bitgen_of(object bit_generator) except NULL:
    return <bitgen_t *> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


cdef bint layout_is_known(object module) except -1:
    cdef object generator = module.MT19937(0)
    cdef fc_mt19937 *state = <fc_mt19937 *> bitgen_of(generator).state
    cdef int i
    generator.random_raw(625)  # past the first twist, so that pos is inside a block
    expected = generator.state["state"]
    if state.pos != expected["pos"]:
        return False
    for i, word in enumerate(expected["key"].tolist()):
        if state.key[i] != word:
            return False
    # and that 64 bits are two words, of which the first is the upper one, as the core draws keys
    cdef bitgen_t *bitgen = bitgen_of(generator)
    cdef cnp.uint64_t high, low, drawn = bitgen.next_uint64(bitgen.state)
    generator.state = {"bit_generator": "MT19937", "state": expected}
    high = bitgen.next_uint32(bitgen.state)
    low = bitgen.next_uint32(bitgen.state)
    return drawn == (high << 32 | low)


def open_lock():
    """In a forked child: open the generator's lock, if a thread held it that is not there any more.
    Its state is that before the draw."""
    lock = np_random.get_bit_generator().lock
    if type(lock) in LOCKS:
        if not lock.acquire(False):
            lock._at_fork_reinit()
        else:
            lock.release()


cdef object global_bit_generator():
    global np_random, mt19937_type
    if np_random is None:
        import numpy.random as module
        if layout_is_known(module):
            mt19937_type = module.MT19937
        after_fork(open_lock)
        np_random = module
    return np_random.get_bit_generator()


# That the generator's position lies inside its block, where that can be known.
cdef int require_position(object generator, bitgen_t *bitgen) except -1:
    cdef int pos
    if mt19937_type is None or not isinstance(generator, mt19937_type):
        return 0
    pos = (<fc_mt19937 *> bitgen.state).pos
    if not 0 <= pos <= 624:
        raise ValueError(f"np.random's state has the position {pos}, expected one from 0 to 624")
    return 0


def random_rows(count, size):
    """``np.random.randint(count, size=size)``, draw for draw, without what that call costs around
    its draws: 8 us, or 19 after a training step has filled the caches.

    The legacy generator's stream is frozen (NEP 19): 32 random bits, of which the lowest that can
    hold count - 1 are kept, until they are less than count.
    """
    if type(count) is not int or type(size) is not int \
            or not 1 <= count < 0xffffffff or not 0 <= size:
        return np.random.randint(count, size=size)
    cdef object generator = global_bit_generator()
    cdef bitgen_t *bitgen = bitgen_of(generator)
    cdef cnp.uint32_t greatest = count - 1, mask = greatest, word
    cdef cnp.npy_intp i, first = 0, last, n = size
    cdef ndarray rows = cnp.PyArray_ZEROS(1, &n, cnp.NPY_INT64, 0)
    cdef cnp.int64_t *out = <cnp.int64_t *> cnp.PyArray_DATA(rows)
    if greatest == 0:  # nothing to draw
        return rows
    for i in (1, 2, 4, 8, 16):
        mask |= mask >> i
    while first < n:
        last = min(n, first + <cnp.npy_intp> most_draws)
        with generator.lock:
            require_position(generator, bitgen)
            with nogil:
                for i in range(first, last):
                    word = bitgen.next_uint32(bitgen.state) & mask
                    while word > greatest:
                        word = bitgen.next_uint32(bitgen.state) & mask
                    out[i] = word
        first = last
        if first < n:
            look_for_signals_now()
    return rows


# 64 bits, as ``randint(2**64, dtype=np.uint64)`` draws them.
cdef cnp.uint64_t draw_key(object generator) except? 0:
    cdef bitgen_t *bitgen = bitgen_of(generator)
    with generator.lock:
        require_position(generator, bitgen)
        return bitgen.next_uint64(bitgen.state)


# So many draws that nobody needs, under the generator's lock; `state` where its layout is known.
cdef void skip_draws(bitgen_t *bitgen, fc_mt19937 *state, size_t n, int dtype) noexcept nogil:
    cdef size_t i
    if state != NULL:
        call_mt19937_skip(dtype, state, n)
        return
    for i in range(n):
        bitgen.next_double(bitgen.state)


# What dropout_forward returns for x, which `arrays` holds:
# out = x * mask, mask = (rand(*x.shape) < p) / p, or with drop (... >= p) / (1 - p), where rand
# draws by `generator`.  With a size x is rows `row` on of so many, for all of which rand draws.
cdef object draw_dropout(list arrays, object dropout_param, object generator, double p, bint drop,
                         int dtype, Py_ssize_t row, Py_ssize_t size):
    cdef bitgen_t *bitgen = bitgen_of(generator)
    cdef bint known = type(generator) is mt19937_type
    cdef fc_mt19937 state
    cdef ndarray x, mask, out = None
    cdef void *po
    cdef void *pm
    cdef void *px
    cdef double kept = 1 / (1 - p if drop else p)
    if dtype == F32:
        kept = <float> 1 / <float> (1 - p if drop else p)
    cdef size_t i, n = 0, first = 0, last, before = 0, after = 0
    while out is None or first < n:
        if out is not None:
            look_for_signals_now()
        with generator.lock:  # anybody's object
            if out is None:
                settle(arrays, dtype)
                x = arrays[0]
                mask = fresh_like(x, dtype)
                out = fresh_like(x, dtype)
                n = cnp.PyArray_SIZE(out)
                count_others(x, row, size, &before, &after)
                po, pm, px = cnp.PyArray_DATA(out), cnp.PyArray_DATA(mask), cnp.PyArray_DATA(x)
            require_position(generator, bitgen)
            last = min(n, first + most_draws)
            if known:
                state = (<fc_mt19937 *> bitgen.state)[0]
                with nogil:
                    skip_draws(bitgen, &state, before, dtype)
                    call_dropout_forward(dtype, element(po, first, dtype),
                                         element(pm, first, dtype), &state,
                                         element(px, first, dtype), p, drop, last - first)
                    if last == n:
                        skip_draws(bitgen, &state, after, dtype)
                (<fc_mt19937 *> bitgen.state)[0] = state
            else:
                with nogil:
                    skip_draws(bitgen, NULL, before, dtype)
                    for i in range(first, last):
                        if (bitgen.next_double(bitgen.state) < p) == drop:
                            set_number(pm, i, 0, dtype)
                        else:
                            set_number(pm, i, kept, dtype)
                    call_dropout_apply(dtype, element(po, first, dtype),
                                       element(px, first, dtype), element(pm, first, dtype),
                                       last - first)
                    if last == n:
                        skip_draws(bitgen, NULL, after, dtype)
        first, before = last, 0
    return out, (dropout_param, mask)


cdef inline void *element(void *numbers, size_t i, int dtype) noexcept nogil:
    return <char *> numbers + i * (4 if dtype == F32 else 8)


cdef inline void set_number(void *numbers, size_t i, double value, int dtype) noexcept nogil:
    if dtype == F32:
        (<float *> numbers)[i] = <float> value
    else:
        (<double *> numbers)[i] = value
