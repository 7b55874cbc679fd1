"""What the machine can do at best, measured in the same run: arithmetic, and copying."""

import concurrent.futures
import time

import numpy as np

from benchmarks import harness
from fastfc import _core
from tests.support import cases

COPY_BYTES = 1 << 27  # an array, many times what the caches of a core hold
REPEATS = 10, 150  # of copying, of arithmetic: half a second each, so that a quiet moment is met
ROUNDS = 20_000  # of arithmetic in a task: some tens of microseconds
TASKS = 64  # for each thread


def measure(quick=False):
    """Return unit -> dtype -> threads -> rate.

    The best of `REPEATS`: it is to be a limit.
    """
    peak = {"GFLOP/s": {}, "GB/s": {}}
    nbytes = 1 << 20 if quick else COPY_BYTES
    copies, bursts = (2, 2) if quick else REPEATS
    for dtype in cases.DTYPES:
        name = np.dtype(dtype).name
        source = np.ones(nbytes // np.dtype(dtype).itemsize, dtype)
        target = np.zeros_like(source)
        for count in harness.thread_counts():
            with harness.threads(count):
                arithmetic = max(_arithmetic(dtype, count, quick) for _ in range(bursts))
            with concurrent.futures.ThreadPoolExecutor(count) as pool:
                copying = max(_copying(pool, count, target, source) for _ in range(copies))
            peak["GFLOP/s"].setdefault(name, {})[count] = arithmetic
            peak["GB/s"].setdefault(name, {})[count] = copying
    return peak


def _arithmetic(dtype, count, quick):
    start = time.perf_counter()
    operations = _core.peak(dtype, TASKS * count, 100 if quick else ROUNDS)
    return operations / 1e9 / (time.perf_counter() - start)


def _copying(pool, count, target, source):
    """Every thread copies a part; a byte read and a byte written count as two."""
    parts = zip(np.array_split(target, count), np.array_split(source, count), strict=True)
    start = time.perf_counter()
    for copied in [pool.submit(np.copyto, *part) for part in parts]:
        copied.result()
    return 2 * source.nbytes / 1e9 / (time.perf_counter() - start)
