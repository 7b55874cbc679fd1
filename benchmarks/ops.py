"""Each operation by itself, on the shapes that `fastfc/verifying/operations.py` names."""

import functools

import numpy as np

from benchmarks import harness, peers
from fastfc.verifying import operations
from tests.support import cases


def contestants(run):
    """Return the names of the table's columns."""
    named = {"numpy": "reference", "torch": "torch"}
    return ["fastfc", *(named[peer] for peer in run.peers if peer in named)]


def rows(run):
    """Yield a row for each operation, shape and dtype."""
    for operation in operations.OPERATIONS:
        for shape in operation.benchmark:
            for dtype in cases.DTYPES:
                yield _row(run, operation, shape, dtype)


def _row(run, operation, shape, dtype):
    # Each contestant has arguments of its own: update rules write into them.
    packages = {"fastfc": operations.FAST, "reference": operations.REFERENCE}
    calls = {}
    for name in contestants(run):
        args = operation.arguments(shape, dtype)
        if name == "torch":
            calls[name] = peers.load("torch").operation(str(operation), args)
        else:
            calls[name] = functools.partial(operation.callable(packages[name]), *args)
    return harness.row(
        run, "ops", str(operation), text(shape), dtype, calls, rate(operation, shape, dtype)
    )


def rate(operation, shape, dtype):
    """Return what a call's rate is in, and how much of it a call does."""
    elements, flops = operation.traffic(shape)
    return ("GFLOP/s", flops) if flops else ("GB/s", elements * np.dtype(dtype).itemsize)


def text(shape):
    """100x3072; of a product 100x3072 -> 100."""
    if shape and isinstance(shape[0], tuple):
        return f"{text(shape[0])} -> {shape[1]}"
    return "x".join(map(str, shape))
