"""What leads from a graph's input to its output, as steps one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .values import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..._types import AnyArray
    from .values import Tensor


class Step(NamedTuple):
    """A step.

    ``kind`` is ``'affine'`` (settings W and b), ``'batchnorm'`` (gamma, beta, mean, var, eps),
    ``'layernorm'`` (gamma, beta, eps), an activation by the networks' name of it, ``'softmax'``,
    ``'exp'``, ``'two classes'``, ``'cast'``, or arithmetic with a constant: ``'add'``, ``'sub'``,
    ``'rsub'``, ``'mul'``, ``'div'`` (by).  ``width`` is the numbers of an example that it makes,
    ``dtype`` theirs.
    """

    kind: str
    place: str
    width: int | None
    dtype: np.dtype[Any]
    settings: dict[str, Any]


def steps_to(tensor: Tensor) -> list[Step]:
    """Return the steps from the input to a tensor.

    Raises
    ------
    ValueError
        A step is none of fastfc's, or there is no affine one.
    """
    if tensor.kind == "flattened" and tensor.source is not None:
        tensor = tensor.source  # a regressor of several outputs: an example has a row again
    chain: list[Tensor] = []
    at: Tensor | None = tensor
    while at is not None and at.source is not None:
        chain.append(at)
        at = at.source
    steps: list[Step] = []
    for made in reversed(chain):
        if made.kind in PARTS:
            raise ValueError(f"{made.place}: expected it only as a part of {PARTS[made.kind]}")
        if made.kind == "reshape":
            continue
        width = made.shape[0] if len(made.shape) == 1 else None
        step = Step(made.kind, made.place, width, made.dtype, made.settings)
        folded = _fold(steps[-1], step) if steps else None
        if folded is None:
            steps.append(step)
        else:
            steps[-1] = folded
    if not any(step.kind == "affine" for step in steps):
        raise ValueError("it has no affine layer, expected a Gemm or a MatMul")
    return [_complete(step) for step in steps]


def _fold(step: Step, after: Step) -> Step | None:
    """Return a step that does what these two do, None if there is none.

    In float64 arithmetic; a bias or a shift that is the first is taken as it is.
    """
    how = _FOLDED.get(step.kind)
    by = after.settings.get("by")
    if how is None or by is None or (after.kind == "rsub" and step.kind == "layernorm"):
        return None
    scale, shift = how
    settings = dict(step.settings)
    with np.errstate(all="ignore"):
        if after.kind in ("mul", "div", "rsub"):
            for name in (scale, shift):
                if settings[name] is not None:
                    settings[name] = _scaled(settings[name], after.kind, by)
            if settings[scale] is None:
                settings[scale] = _scaled(np.ones(step.width or 1, step.dtype), after.kind, by)
        if after.kind in ("add", "sub", "rsub"):
            before = settings[shift]
            shifts = -by if after.kind == "sub" else by
            if before is not None:
                shifts = (before.astype(np.float64) + shifts).astype(step.dtype)
            settings[shift] = shifts
    for name in (scale, shift):
        was = step.settings[name]
        fine = was is None or np.isfinite(was).all()
        if settings[name] is not None and fine and not np.isfinite(settings[name]).all():
            return None  # there the order of the arithmetic decides what comes out
    return step._replace(settings=settings)


# Of each step that takes arithmetic in: what is multiplied, and what is added behind it.
_FOLDED = {"affine": ("W", "b"), "layernorm": ("gamma", "beta")}


def _scaled(array: AnyArray, kind: str, by: AnyArray) -> AnyArray:
    """Return an array times a constant, or divided by it, or negated."""
    wide = array.astype(np.float64)
    scaled: AnyArray = wide / by if kind == "div" else -wide if kind == "rsub" else wide * by
    return scaled.astype(array.dtype)


def _complete(step: Step) -> Step:
    """Return a step with rows in the place of single numbers, and of what is not there."""
    if step.kind not in _FOLDED:
        return step
    settings = dict(step.settings)
    width = step.width or 1
    if step.kind == "affine":
        width = settings["W"].shape[1]
    else:
        settings["gamma"] = _row(settings["gamma"], width, step.dtype, np.ones)
    name = _FOLDED[step.kind][1]
    settings[name] = _row(settings[name], width, step.dtype, np.zeros)
    return step._replace(settings=settings)


def _row(
    array: AnyArray | None, width: int, dtype: np.dtype[Any], default: Callable[..., AnyArray]
) -> AnyArray:
    if array is None:
        return default(width, dtype)
    return np.ascontiguousarray(np.broadcast_to(array, (width,)), dtype)
