"""The matrix product by itself against numpy.dot, on one and two threads."""

import functools

import numpy as np

from benchmarks import harness
from fastfc import _core
from tests.support import cases

# (m, k, n, of the left factor: whether it is a transposed view, and the share of its elements that
# are not zero): forward product and gradient of the weights, of the seed's layers, of larger ones
# and of one whose input is images of digits, or a tenth of it not zero.
PRODUCTS = [
    (100, 3072, 100, False, 1),
    (3072, 100, 100, True, 1),
    (100, 100, 100, False, 1),
    (100, 100, 10, False, 1),
    (256, 3072, 512, False, 1),
    (3072, 256, 512, True, 1),
    (256, 512, 512, False, 1),
    (1024, 1024, 1024, False, 1),
    (200, 784, 100, False, 1),
    (200, 784, 100, False, 0.1),
    (784, 200, 100, True, 1),
    (784, 200, 100, True, 0.1),
]
OF_ZEROS = ", zeros"  # so end the names of rows about those with few elements that are not


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
            m, k, n, transposed, share = product
            for count in harness.thread_counts():
                yield harness.row(
                    run,
                    "gemm",
                    "product" + ", transposed" * transposed + OF_ZEROS * (share < 1),
                    f"{m}x{k}x{n}",
                    dtype,
                    calls,
                    ("GFLOP/s", 2 * m * k * n),
                    count,
                )


def _factors(product, dtype):
    m, k, n, transposed, share = product
    a = cases.normal((k, m) if transposed else (m, k), dtype, "a")
    a[cases.generator("a", share).random(a.shape) > share] = 0
    return a.T if transposed else a, cases.normal((k, n), dtype, "b")
