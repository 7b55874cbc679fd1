"""Each operation by itself, on the shapes that `tests/operations.py` names."""

import functools

import numpy as np

from benchmarks import harness
from tests import cases, operations

CONTESTANTS = {"fastfc": operations.FAST, "reference": operations.REFERENCE}


def rows(quick=False):
    """Yield a row for each operation, shape and dtype."""
    for operation in operations.OPERATIONS:
        for shape in operation.benchmark:
            for dtype in cases.DTYPES:
                yield _row(operation, shape, dtype, quick)


def _row(operation, shape, dtype, quick):
    # Each contestant has arguments of its own: update rules write into them.
    contestants = {
        name: functools.partial(operation.callable(package), *operation.arguments(shape, dtype))
        for name, package in CONTESTANTS.items()
    }
    elements, flops = operation.traffic(shape)
    rate = ("GFLOP/s", flops) if flops else ("GB/s", elements * np.dtype(dtype).itemsize)
    return harness.row(
        "ops", str(operation), _text(shape), np.dtype(dtype).name, contestants, rate, quick
    )


def _text(shape):
    """100x3072; of a product 100x3072 -> 100."""
    if shape and isinstance(shape[0], tuple):
        return f"{_text(shape[0])} -> {shape[1]}"
    return "x".join(map(str, shape))
