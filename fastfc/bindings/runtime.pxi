# What serves the process: instruction set, threads, caches, denormals.

cdef int isa_in_use = -1


def built_isas():
    """Names of the instruction sets that the core was compiled for, slowest first."""
    return tuple(fc_isa_name(i).decode() for i in range(fc_isa_count()))


def available_isas():
    """Names of those that this machine can run."""
    return tuple(fc_isa_name(i).decode() for i in range(fc_isa_count()) if fc_isa_available(i))


def isa():
    """Name of the one in use."""
    return fc_isa_name(isa_in_use).decode()


def use_isa(str name):
    """Use another instruction set from now on, in the whole process."""
    global isa_in_use
    cdef int i
    for i in range(fc_isa_count()):
        if fc_isa_name(i).decode() == name and fc_isa_use(i) == 0:
            isa_in_use = i
            return
    raise ValueError(f"this machine has no instruction set {name!r}, "
                     f"expected one of {', '.join(available_isas())}")


MAX_THREADS = FC_MAX_THREADS


def set_num_threads(int n):
    fc_set_threads(n)


def get_num_threads():
    return fc_get_threads()


def set_own_threads(int n):
    """Let calls by this thread use n threads, 0: as many as others'; return what it was."""
    return fc_set_own_threads(n)


def detect_caches():
    """Bytes of the data caches of levels 1, 2 and 3; 0 where the processor does not say."""
    cdef size_t[FC_CACHE_LEVELS] size
    fc_detect_caches(size)
    return size[0], size[1], size[2]


def set_l2_bytes(size_t size):
    """Cut products for an L2 cache of this size from now on; no result depends on it."""
    fc_set_l2_bytes(size)


def get_l2_bytes():
    return fc_get_l2_bytes()


def set_flush_denormal(bint flush):
    """Take denormals for zero from now on; return whether this machine can."""
    global fc_flush_denormal
    fc_flush_denormal = flush and FC_FLUSH_BITS != 0
    return FC_FLUSH_BITS != 0


def get_flush_denormal():
    return fc_flush_denormal != 0


def compiler():
    """Name and version of the C compiler that built the core."""
    return FASTFC_COMPILER.decode()


def peak(dtype, size_t tasks, size_t rounds):
    """Do nothing but arithmetic of one dtype, on the threads in use, in so many tasks of so many
    rounds; return how many operations that were: for benchmarks."""
    cdef int number = np.dtype(dtype).num
    if number != F32 and number != F64:
        raise TypeError(f"peak: dtype is {dtype}, expected float32 or float64")
    cdef double operations
    with nogil:
        operations = call_peak(number, tasks, rounds)
    return operations


def _choose_isa():
    forced = os.environ.get("FASTFC_ISA")
    try:
        use_isa(forced or max(available_isas(), key=built_isas().index))
    except ValueError as error:
        raise ImportError(f"FASTFC_ISA: {error}") from None


_choose_isa()
