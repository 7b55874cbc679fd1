"""Shapes, dtypes, memory layouts and special values: defined here once.

The comparison with the reference, the gradient checks, the tests of every instruction set and the
benchmarks all take their inputs from this file. Nothing here knows an operation; what each one is
called with stands in `operations.py`.
"""

import zlib

import numpy as np

DTYPES = (np.float32, np.float64)

# Types that are computed in float64, and types that no operation accepts.
CONVERTED = ("?", "i1", "u1", "i2", "i4", "i8", "u8", "f2")
REFUSED = ("c8", "c16", "O", "U3", "S3", "M8[s]", np.longdouble)

# Lanes of a vector in any instruction set, in either dtype; every length beside them is an edge.
LANES = (2, 4, 8, 16, 32)
PRIMES = (13, 37, 101, 257)
LENGTHS = sorted({0, 1, *PRIMES, 100, *(n + d for n in LANES for d in (-1, 0, 1))})

# What the values of one element can be.
SPECIALS = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "0": 0.0,
    "-0": -0.0,
    "denormal": 1e-40,  # of float32; specials() adds the smallest one of each dtype
    "-denormal": -1e-40,
}


def specials(dtype):
    """Every special value of a dtype, with the ends of its range and a few plain numbers."""
    info = np.finfo(dtype)
    ends = [info.smallest_subnormal, info.tiny, info.eps, info.max]
    plain = [1.0, 0.5, 3.0]
    return np.array(
        [*SPECIALS.values(), *ends, *(-np.array(ends)), *plain, *(-np.array(plain))], dtype
    )


def generator(*key):
    """Return a generator of its own for each key: the same numbers at every call."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def normal(shape, dtype, *key, scale=1.0):
    """Normal draws; different for every key."""
    return np.asarray(generator(shape, *key).standard_normal(shape) * scale).astype(dtype)


def labels(count, classes, *key):
    """Labels in [0, classes)."""
    return generator("labels", count, classes, *key).integers(0, max(classes, 1), count)


def weights(count, *key):
    """Weights of examples, of which some are 0 and some 1."""
    drawn = generator("weights", count, *key).choice([0, 0.25, 1, 1, 3.75], count)
    drawn[:1] = 2  # there is a sum
    return drawn


# --- shapes -----------------------------------------------------------------------------------

# Element by element: relu, dropout, update rules.
ELEMENTWISE = [
    *((n,) for n in LENGTHS),
    (3072,),
    (),
    (0, 5),
    (5, 0),
    (7, 13),
    (100, 100),
    (2, 3, 4, 5),
    (17, 3, 32, 32),
]

# (N, D): batch normalisation. Every length on either side; the seed's own shape.
BATCHNORM = [
    *((7, n) for n in LENGTHS),
    *((n, 5) for n in LENGTHS if n > 0),
    (100, 100),
    (100, 3072),
    (256, 33),
]

# (N, D): layer normalisation, which needs a feature but no example.
LAYERNORM = [
    *((7, n) for n in LENGTHS if n > 0),
    *((n, 5) for n in LENGTHS),
    (100, 100),
    (100, 3072),
    (256, 33),
]

# (N, C): losses.
LOSS = [
    *((7, n) for n in LENGTHS if n > 0),
    *((n, 10) for n in LENGTHS if n > 0),
    (100, 10),
    (100, 3072),
]

# (shape of x, M): affine. Each of N, D and M over every length beside small others; the seed's
# products; x of more and of fewer than two dimensions.
AFFINE = [
    *(((n, 7), 5) for n in LENGTHS),
    *(((7, n), 5) for n in LENGTHS),
    *(((5, 7), n) for n in LENGTHS),
    *(((n, n), n) for n in LENGTHS if n <= 101),
    ((2, 15), 20),
    ((100, 3072), 100),
    ((100, 100), 10),
    ((33, 3072), 17),
    ((128, 784), 128),
    ((19, 257), 523),
    ((131, 300), 530),
    ((4,), 3),
    ((4, 2, 3), 5),
    ((2, 3, 32, 32), 7),
    ((0, 3, 2), 4),
    ((3, 0, 2), 4),
]

# Products as the benchmarks and layers of real networks see them, for the benchmarks.
BENCHMARK = [(1, 1), (100, 100), (256, 1024)]
BENCHMARK_AFFINE = [
    ((1, 1), 1),
    ((100, 3072), 100),
    ((100, 100), 100),
    ((100, 100), 10),
    ((128, 784), 128),
    ((256, 3072), 512),
]

# Whole networks: batch, size of one example, hidden layers, classes, probability of keeping.
NETWORKS = {
    "digits": (32, (64,), (64,), 10, 0.5),
    "mnist": (128, (784,), (128,), 10, 0.8),
    "seed": (100, (3, 32, 32), (100, 100, 100), 10, 0.9),
    "medium": (256, (3, 32, 32), (512, 512, 512), 10, 0.5),
    "large": (512, (3, 32, 32), (1024, 1024), 10, 0.5),
}


# --- layouts ----------------------------------------------------------------------------------
# Each takes an array and returns one of equal values that lies differently in memory.


def _within(a, steps):
    """Place `a` in a larger array of ones, every steps[i]-th element along axis i."""
    outer = np.ones([n * s + 1 for n, s in zip(a.shape, steps, strict=True)], a.dtype)
    view = outer[(*(slice(0, n * s, s) for n, s in zip(a.shape, steps, strict=True)), ...)]
    view[...] = a
    return view


def _fortran(a):
    return np.asfortranarray(a)


def _transposed(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0) if a.ndim else a


def _strided(a):
    return _within(a, [2] * a.ndim)


def _padded_rows(a):
    return _within(a, [1] * a.ndim)


def _negative(a):
    back = (slice(None, None, -1),) * a.ndim + (...,)
    return np.ascontiguousarray(a[back])[back]


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def _byte_swapped(a):
    return a.astype(a.dtype.newbyteorder())


LAYOUTS = {
    "fortran": _fortran,
    "transposed": _transposed,
    "strided": _strided,
    "padded rows": _padded_rows,
    "negative": _negative,
    "read-only": _read_only,
    "unaligned": _unaligned,
    "byte-swapped": _byte_swapped,
}

# What eps and momentum of a normalisation may not be, the error and what it says.
_NO_NUMBERS = [
    (value, TypeError, "expected a number") for value in (None, "0.1", b"1", [0.1], np.ones(1), 1j)
]
NOT_EPS = [
    *_NO_NUMBERS,
    *(
        (value, ValueError, "expected a finite number of at least 0")
        for value in (-5, -1e-300, np.nan, np.inf, -np.inf, np.float32(-1))
    ),
]
NOT_MOMENTUM = [
    *_NO_NUMBERS,
    *(
        (value, ValueError, "expected a number from 0 to 1")
        for value in (np.nan, np.inf, -np.inf, -0.1, 1.1, 9, np.float32(2))
    ),
]
