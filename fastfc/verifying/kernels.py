"""Runs every operation under every instruction set, in both dtypes, and compares."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from . import networks, tolerance
from .cases import DTYPES
from .operations import FAST, OPERATIONS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from .operations import Operation

LARGEST = 400_000  # numbers in an operation's arguments: a larger one has no other path


@dataclasses.dataclass(frozen=True)
class Row:
    """What has come of one operation under one instruction set, in one dtype.

    Attributes
    ----------
    operation, isa, dtype : str
    cases : int
        How many shapes or networks were tried.
    share : float
        The largest difference as a part of what is allowed; 0 where all bits agree.
    fault : str
        What is wrong in the first case that is, empty where nothing is.

    Examples
    --------
    >>> Row("relu_forward", "avx2", "float32", cases=40, share=0.0).ok
    True
    """

    operation: str
    isa: str
    dtype: str
    cases: int
    share: float
    fault: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is right."""
        return not self.fault


def verify(
    isas: Sequence[str] | None = None, accepts: Callable[[str], bool] = lambda name: True
) -> Iterator[Row]:
    """Yield a row for each operation, instruction set and dtype.

    Parameters
    ----------
    isas : sequence of str, optional
        Instruction sets; all of this machine by default.
    accepts : callable
        Says of an operation's name whether to run it.

    Examples
    --------
    >>> from fastfc.verifying import verify
    >>> rows = list(verify(accepts=lambda name: name == "relu_forward"))
    >>> {row.operation for row in rows}, all(row.ok for row in rows)
    ({'relu_forward'}, True)
    """
    isas = _core.available_isas() if isas is None else isas
    for operation in OPERATIONS:
        if accepts(str(operation)):
            for dtype in DTYPES:
                yield from _operation(operation, dtype, isas)
    for name, check in networks.CHECKS.items():
        if accepts(name):
            for dtype in DTYPES:
                for isa in isas:
                    with _using(isa):
                        yield _network(name, check, isa, dtype)


@contextlib.contextmanager
def _using(isa: str) -> Iterator[None]:
    """Use an instruction set, with outputs that are NaN until a kernel has written them."""
    before, state = _core.isa(), np.random.get_state()
    _core.use_isa(isa)
    _core._poison(True)
    try:
        yield
    finally:
        _core._poison(False)
        _core.use_isa(before)
        np.random.set_state(state)


def _operation(operation: Operation, dtype: Any, isas: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of an operation in a dtype; the reference is computed once for all of them."""
    counts = dict.fromkeys(isas, 0)
    shares, faults = dict.fromkeys(isas, 0.0), dict.fromkeys(isas, "")
    for shape in operation.shapes:
        args = operation.arguments(shape, dtype)
        if sum(np.size(arg) for arg in args if isinstance(arg, np.ndarray)) > LARGEST:
            continue
        state = np.random.get_state()
        expected = operation.run(REFERENCE, args)
        with np.errstate(all="ignore"):
            bounds = operation.bound(*args)
        np.random.set_state(state)
        for isa in isas:
            counts[isa] += 1
            with _using(isa):
                share, fault = _compare(operation, args, expected, bounds)
            shares[isa] = max(shares[isa], share)
            faults[isa] = faults[isa] or (fault and f"shape {shape}: {fault}")
    for isa in isas:
        name = np.dtype(dtype).name
        yield Row(str(operation), isa, name, counts[isa], shares[isa], faults[isa])


def _compare(
    operation: Operation, args: Any, expected: dict[str, Any], bounds: dict[str, Any]
) -> tuple[float, str]:
    """Return the largest difference as a part of what is allowed, and what is wrong."""
    share = 0.0
    try:
        found = operation.run(FAST, args)
        for name, value in expected.items():
            tolerance.assert_close(found[name], value, bounds[name], name)
            share = max(share, tolerance.share(found[name], value, bounds[name]))
    except Exception as error:
        return math.inf, f"{type(error).__name__}: {error}"
    return share, ""


def _network(name: str, check: Callable[[Any], int], isa: str, dtype: Any) -> Row:
    try:
        cases = check(dtype)
    except Exception as error:
        return Row(name, isa, np.dtype(dtype).name, 1, math.inf, f"{type(error).__name__}: {error}")
    return Row(name, isa, np.dtype(dtype).name, cases, 0.0)
