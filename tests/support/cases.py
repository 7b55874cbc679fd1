"""Shapes, dtypes, memory layouts and special values: defined here and in fastfc.verifying, once.

The comparison with the reference, the gradient checks, the tests of every instruction set and the
benchmarks all take their inputs from here. Nothing here knows an operation; what each one is
called with stands in `fastfc/verifying/operations.py`.
"""

import numpy as np

from fastfc.verifying.cases import *  # noqa: F403  (tests call them by this module)

# Types that are computed in float64, and types that no operation accepts.
CONVERTED = ("?", "i1", "u1", "i2", "i4", "i8", "u8", "f2")
REFUSED = ("c8", "c16", "O", "U3", "S3", "M8[s]", np.longdouble)

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
