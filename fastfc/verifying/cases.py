"""Shapes, dtypes and values that operations are tried with.

Nothing here knows an operation; what each one is called with stands in `operations.py`.
"""

import zlib
from typing import Any

import numpy as np

DTYPES = (np.float32, np.float64)

# Lanes of a vector in any instruction set, in either dtype; every length beside them is an edge.
LANES = (2, 4, 8, 16, 32)
PRIMES = (13, 37, 101, 257)
LENGTHS = sorted({0, 1, *PRIMES, 100, *(n + d for n in LANES for d in (-1, 0, 1))})


def generator(*key: Any) -> Any:
    """Return a generator of its own for each key: the same numbers at every call."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def normal(shape: Any, dtype: Any, *key: Any, scale: Any = 1.0) -> Any:
    """Normal draws; different for every key."""
    return np.asarray(generator(shape, *key).standard_normal(shape) * scale).astype(dtype)


def labels(count: Any, classes: Any, *key: Any) -> Any:
    """Labels in [0, classes)."""
    return generator("labels", count, classes, *key).integers(0, max(classes, 1), count)


def weights(count: Any, *key: Any) -> Any:
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
