"""The matrix product by itself against numpy.dot, on one and two threads."""

import functools

import numpy as np

from benchmarks import harness
from fastfc import _core
from tests.support import cases

# (m, k, n, whether the left factor is a transposed view): forward product and gradient of the
# weights, of the seed's layers and of larger ones.
PRODUCTS = [
    (100, 3072, 100, False),
    (3072, 100, 100, True),
    (100, 100, 100, False),
    (100, 100, 10, False),
    (256, 3072, 512, False),
    (3072, 256, 512, True),
    (256, 512, 512, False),
    (1024, 1024, 1024, False),
]


def contestants(run):
    """Return the names of the table's columns."""
    return ["fastfc", *(["numpy"] if "numpy" in run.peers else [])]


def rows(run):
    """Yield a row for each product, dtype and number of threads."""
    functions = {"fastfc": _core.product, "numpy": np.dot}
    for product in PRODUCTS:
        for dtype in cases.DTYPES:
            a, b = _factors(product, dtype)
            calls = {name: functools.partial(functions[name], a, b) for name in contestants(run)}
            m, k, n, transposed = product
            for count in harness.thread_counts():
                yield harness.row(
                    run,
                    "gemm",
                    "product, left transposed" if transposed else "product",
                    f"{m}x{k}x{n}",
                    dtype,
                    calls,
                    ("GFLOP/s", 2 * m * k * n),
                    count,
                )


def _factors(product, dtype):
    m, k, n, transposed = product
    a = cases.normal((k, m) if transposed else (m, k), dtype, "a")
    return a.T if transposed else a, cases.normal((k, n), dtype, "b")
