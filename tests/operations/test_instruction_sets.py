"""What one instruction set computes and what another does: the same bits, or within rounding."""

import os

import numpy as np
import pytest

from fastfc import _core
from fastfc.verifying import operations, tolerance
from tests.support.effort import report

ISAS = _core.available_isas()

pytestmark = pytest.mark.skipif(
    len(ISAS) < 2 or bool(os.environ.get("FASTFC_ISA")), reason="one instruction set alone"
)

# Shared out among threads, and sums of several blocks.
LARGE = {"affine_forward": ((150, 301), 140), "affine_backward": ((150, 301), 140)}


@pytest.fixture(autouse=True)
def given_back():
    before = _core.isa()
    yield
    _core.use_isa(before)


def under_each(operation, args):
    """Return the outputs by name, one dict for each instruction set."""
    results = []
    for isa in ISAS:
        _core.use_isa(isa)
        results.append(operation.run(operations.FAST, args))
    return results


def is_same(a, b):
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=str)
def test_the_same_bits_or_within_the_bound(operation):
    """Outputs that are said to be the same are; others lie as near as the bound says.

    Each computation may err by half of the bound for two. Where some output may differ, one does:
    an operation says no less than is so.
    """
    may_differ, differ, used = set(), set(), {}
    for dtype in (np.float32, np.float64):
        for shape in [*operation.shapes, LARGE.get(operation.function, (300, 700))]:
            args = operation.arguments(shape, dtype)
            first, *others = under_each(operation, args)
            with np.errstate(all="ignore"):
                bounds = operation.bound(*args)
            for name, bound in bounds.items():
                if name in operation.same_everywhere:
                    bound = 0.0
                if np.any(bound):
                    may_differ.add(name)
                for other in others:
                    where = f"{operation} {shape}: {name}"
                    tolerance.assert_close(other[name], first[name], bound, where)
                    if not is_same(other[name], first[name]):
                        differ.add(name)
                        used[name] = max(used.get(name, 0), share(other[name], first[name], bound))
    shares = {name: f"{value:.2g}" for name, value in sorted(used.items())}
    if shares:
        report(f"{operation} on {', '.join(ISAS)}, largest share of the bound", **shares)
    if {"baseline", "avx2"} <= set(ISAS):
        assert bool(differ) == bool(may_differ)


def share(got, expected, bound):
    """Return how much of the bound the largest difference takes."""
    off = np.abs(np.subtract(got, expected, dtype=np.float64))
    bound = np.broadcast_to(bound, off.shape)
    return float(np.max(off[off > 0] / bound[off > 0], initial=0.0))
